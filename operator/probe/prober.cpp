#include "operator/probe/prober.h"

#include <algorithm>
#include <set>

#include "common/agent_config.h"
#include "common/error.h"
#include "common/log.h"

namespace millrace::controller {
namespace {

AgentAddress address_of(const ProbeGroup& group, const ProbePod& pod) {
  return {pod.ip, common::kDefaultAdminPort, group.token, group.previous_token, group.tls};
}

// Differences that a plan or a status depends on; progress is told in steps of a tenth.
bool matters(const common::AgentStatus& before, const common::AgentStatus& after) {
  const auto tenths = [](const common::AgentStatus& status) { return static_cast<int>(status.load_progress * 10); };
  return before.phase != after.phase || before.message != after.message || before.generation != after.generation ||
         tenths(before) != tenths(after) ||
         (after.phase == common::AgentPhase::kDraining && before.in_flight != after.in_flight);
}

}  // namespace

Prober::Prober(AgentClient& agents, ProberOptions options) : agents_(agents), options_(std::move(options)) {
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { run(); });
}

Prober::~Prober() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Prober::watch(const kube::ObjectKey& deployment, std::vector<ProbeGroup> groups) {
  const std::lock_guard lock(mutex_);
  std::set<std::string> wanted;
  for (ProbeGroup& group : groups) {
    const std::string name = deployment.ns + "/" + group.shape.name;
    wanted.insert(name);
    Entry& entry = entries_[name];
    const bool other = entry.group.pods != group.pods || entry.group.drain != group.drain;
    entry.deployment = deployment;
    entry.group = std::move(group);
    if (other) entry.due = Clock::now();
  }
  std::erase_if(entries_,
                [&](const auto& item) { return item.second.deployment == deployment && !wanted.contains(item.first); });
  know_only_watched_locked();
  changed_.notify_all();
}

void Prober::know_only_watched_locked() {
  std::set<std::string> uids;
  for (const auto& [name, entry] : entries_) {
    for (const ProbePod& pod : entry.group.pods) uids.insert(pod.uid);
  }
  for (const std::string& uid : uids) known_.try_emplace(uid);
  std::erase_if(known_, [&](const auto& item) { return !uids.contains(item.first); });
}

std::optional<AgentEvidence> Prober::evidence(const std::string& pod_uid) const {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(pod_uid);
  if (found == known_.end()) return std::nullopt;
  AgentEvidence evidence;
  evidence.status = found->second.status;
  evidence.error = found->second.error;
  evidence.answered = found->second.answered_at.has_value();
  if (evidence.answered) {
    evidence.age = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - *found->second.answered_at);
  }
  return evidence;
}

std::vector<AgentContact> Prober::contacts() const {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  std::vector<AgentContact> contacts;
  for (const auto& [name, entry] : entries_) {
    for (const ProbePod& pod : entry.group.pods) {
      const auto known = known_.find(pod.uid);
      if (known == known_.end() || !known->second.answered_at) continue;
      const auto silence = std::chrono::duration_cast<std::chrono::milliseconds>(now - *known->second.answered_at);
      contacts.push_back({entry.group.zone, !known->second.error.empty(), silence});
    }
  }
  return contacts;
}

bool Prober::in_doubt_locked(const ProbeGroup& group) const {
  return std::any_of(group.pods.begin(), group.pods.end(), [&](const ProbePod& pod) {
    const auto found = known_.find(pod.uid);
    if (found == known_.end() || found->second.error.empty() || !found->second.answered_at) return false;
    return Clock::now() - *found->second.answered_at < kEvidenceLimit;
  });
}

void Prober::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    auto next = entries_.end();
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (!entry->second.busy && (next == entries_.end() || entry->second.due < next->second.due)) next = entry;
    }
    if (next == entries_.end()) {
      changed_.wait(lock);
      continue;
    }
    if (next->second.due > Clock::now()) {
      changed_.wait_until(lock, next->second.due);
      continue;
    }
    next->second.busy = true;
    next->second.due = Clock::now() + options_.period;
    const Entry copy = next->second;
    const std::string name = next->first;
    lock.unlock();
    probe(name, copy);
    lock.lock();
    if (const auto entry = entries_.find(name); entry != entries_.end()) {
      entry->second.busy = false;
      if (in_doubt_locked(entry->second.group))
        entry->second.due = std::min(entry->second.due, Clock::now() + options_.retry);
    }
    changed_.notify_one();
  }
}

// Asking, deciding and pushing go together, so that a decision is never made on an answer from before the last push.
void Prober::probe(const std::string& name, const Entry& entry) {
  bool changed = false;
  std::vector<MemberView> members;
  for (const ProbePod& pod : entry.group.pods) {
    MemberView member;
    changed = ask(entry.group, pod, member) || changed;
    members.push_back(std::move(member));
  }
  if (entry.group.drain) {
    tell_to_drain(entry.group, members);
  } else {
    start_group(name, entry, members);
  }
  if (changed && options_.on_change) options_.on_change(entry.deployment);
  if (options_.on_round) options_.on_round(entry.deployment);
}

void Prober::start_group(const std::string& name, const Entry& entry, const std::vector<MemberView>& members) {
  const auto since = Clock::now() - entry.pushed_at;
  const MembershipHistory history{entry.pushed, since >= options_.settle, since >= options_.rest};
  const auto membership = next_membership(entry.group.shape, members, history);
  if (!membership) return;
  push(entry.group, *membership);
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  found->second.pushed = membership->generation;
  found->second.pushed_at = Clock::now();
  found->second.due = Clock::now() + options_.period / 4;  // soon: it was just told something
}

bool Prober::ask(const ProbeGroup& group, const ProbePod& pod, MemberView& member) {
  member.pod_index = pod.index;
  member.ip = pod.ip;
  std::string error;
  try {
    member.status = agents_.status(address_of(group, pod));
    member.answered = true;
  } catch (const common::Error& failure) {
    error = failure.what();
  }
  const std::lock_guard lock(mutex_);
  const auto entry = known_.find(pod.uid);
  if (entry == known_.end()) return false;  // no longer watched
  Known& known = entry->second;
  const bool was_answered = known.answered_at.has_value();
  bool changed = known.error.empty() != error.empty();
  known.error = error;
  if (member.answered) {
    changed = changed || !was_answered || matters(known.status, member.status);
    known.status = member.status;
    known.answered_at = Clock::now();
  } else if (was_answered && Clock::now() - *known.answered_at > kEvidenceLimit &&
             Clock::now() - *known.answered_at <= kEvidenceLimit + 2 * options_.period) {
    changed = true;  // the evidence has just become history
  }
  return changed;
}

void Prober::push(const ProbeGroup& group, const common::GroupMembership& membership) {
  common::log_info("group membership", {{"group", membership.group}, {"generation", membership.generation}});
  for (const ProbePod& pod : group.pods) {
    try {
      agents_.set_group(address_of(group, pod), membership);
    } catch (const common::Error& error) {
      common::log_warn("agent refused its membership", {{"agent", pod.ip}, {"error", error.what()}});
    }
  }
}

void Prober::tell_to_drain(const ProbeGroup& group, const std::vector<MemberView>& members) {
  for (std::size_t i = 0; i < members.size(); ++i) {
    const bool leader = members[i].pod_index == 0;
    if (!leader || !members[i].answered || members[i].status.phase == common::AgentPhase::kDraining) continue;
    try {
      agents_.drain(address_of(group, group.pods[i]));
    } catch (const common::Error& error) {
      common::log_warn("agent cannot be told to drain", {{"agent", group.pods[i].ip}, {"error", error.what()}});
    }
  }
}

}  // namespace millrace::controller
