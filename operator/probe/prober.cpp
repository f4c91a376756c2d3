#include "operator/probe/prober.h"

#include <algorithm>

#include "common/agent_config.h"
#include "common/log.h"

namespace millrace::controller {
namespace {

using common::AgentPhase;
using common::AgentStatus;
using std::chrono::milliseconds;

constexpr milliseconds kTogether{50};  // what is due within this time is asked at once: fewer wake-ups

AgentAddress address_of(const ProbeGroup& group, const ProbePod& pod) {
  return {pod.ip, common::kDefaultAdminPort, group.token, group.previous_token, group.tls};
}

// Differences that a plan or a status depends on; progress is told in steps of a tenth.
bool matters(const AgentStatus& before, const AgentStatus& after) {
  const auto tenths = [](const AgentStatus& status) { return static_cast<int>(status.load_progress * 10); };
  return before.phase != after.phase || before.message != after.message || before.generation != after.generation ||
         tenths(before) != tenths(after) ||
         (after.phase == AgentPhase::kDraining &&
          (before.in_flight != after.in_flight || before.accepting != after.accepting));
}

}  // namespace

struct Prober::Question {
  std::size_t pod = 0;
  std::uint64_t digest = 0;  // of the last answer
  MemberView member;         // the answer
};

// One look at one group. Asking, deciding and pushing go together, so that a decision is never made on an answer from
// before the last push.
struct Prober::Round {
  std::uint64_t number = 0;
  Name name;
  ProbeGroup group;
  bool whole = false;  // all pods are asked, else the leader alone
  std::vector<Question> asked;
  MembershipHistory history{};
  Clock::time_point began;
  std::size_t outstanding = 0;  // calls; under the prober's lock, as the next two
  bool changed = false;
  bool news = false;  // an answer was not word for word the last one
  std::optional<std::int64_t> pushed;
};

Prober::Prober(AgentClient& agents, ProberOptions options) : agents_(agents), options_(std::move(options)) {
  agents_.on_lost([this](const std::string& ip, milliseconds silent_for) { lost(ip, silent_for); });
  thread_ = std::thread([this] { run(); });
}

Prober::~Prober() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  agents_.on_lost({});
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return rounds_ == 0; });
}

void Prober::watch(const kube::ObjectKey& deployment, std::vector<ProbeGroup> groups) {
  std::vector<AgentAddress> gone;
  {
    const std::lock_guard lock(mutex_);
    std::set<std::string> wanted;
    for (ProbeGroup& group : groups) {
      wanted.insert(group.shape.name);
      Entries::value_type& item = *entries_.try_emplace({deployment, group.shape.name}).first;
      set_group_locked(item, std::move(group), gone);
    }
    auto item = entries_.lower_bound({deployment, ""});
    while (item != entries_.end() && item->first.first == deployment) {
      if (wanted.contains(item->first.second)) {
        ++item;
        continue;
      }
      set_group_locked(*item, {}, gone);
      queue_.erase({item->second.due, &*item});
      item = entries_.erase(item);
    }
    std::erase_if(gone, [this](const AgentAddress& agent) { return by_ip_.contains(agent.ip); });
  }
  changed_.notify_all();
  for (const AgentAddress& agent : gone) agents_.forget(agent);
}

// What is known of pods that stay is kept; addresses that are no longer those of a pod here are added to `gone`.
void Prober::set_group_locked(Entries::value_type& item, ProbeGroup group, std::vector<AgentAddress>& gone) {
  Entry& entry = item.second;
  const bool other = entry.group.pods != group.pods;
  const bool urgent = other || entry.group.drain != group.drain || (group.closely && !entry.group.closely);
  std::map<std::string, Known> known;
  for (std::size_t i = 0; other && i < entry.group.pods.size(); ++i) {
    const ProbePod& pod = entry.group.pods[i];
    known.emplace(pod.uid, std::move(entry.known[i]));
    by_uid_.erase(pod.uid);
    const auto place = by_ip_.find(pod.ip);
    if (place == by_ip_.end() || place->second.entry != &item) continue;
    by_ip_.erase(place);
    gone.push_back(address_of(entry.group, pod));
  }
  entry.group = std::move(group);
  if (other) entry.known.clear();
  for (std::size_t i = 0; other && i < entry.group.pods.size(); ++i) {
    const ProbePod& pod = entry.group.pods[i];
    entry.known.push_back(std::move(known[pod.uid]));
    by_uid_[pod.uid] = by_ip_[pod.ip] = {&item, i};
  }
  if (urgent) ask_soon_locked(item);
}

// All of the group's pods.
void Prober::ask_soon_locked(Entries::value_type& item) {
  const auto now = Clock::now();
  item.second.whole_due = now;
  if (item.second.round != 0) {
    item.second.again = true;
  } else {
    schedule_locked(item, now);
  }
}

void Prober::schedule_locked(Entries::value_type& item, Clock::time_point due) {
  queue_.erase({item.second.due, &item});
  item.second.due = due;
  queue_.emplace(due, &item);
  if (queue_.begin()->second == &item) changed_.notify_all();
}

std::optional<AgentEvidence> Prober::evidence(const std::string& pod_uid) const {
  const std::lock_guard lock(mutex_);
  const auto place = by_uid_.find(pod_uid);
  if (place == by_uid_.end()) return std::nullopt;
  const Known& known = place->second.known();
  AgentEvidence evidence;
  evidence.status = known.status;
  evidence.error = known.error;
  evidence.answered = known.answered_at.has_value();
  if (evidence.answered) {
    evidence.age = known.silence();
    evidence.since_answer = std::chrono::duration_cast<milliseconds>(Clock::now() - *known.answered_at);
  }
  return evidence;
}

ZoneContacts Prober::contacts() const {
  const std::lock_guard lock(mutex_);
  ZoneContacts contacts;
  for (const auto& [name, entry] : entries_) {
    AgentContacts* zone = nullptr;
    for (const Known& known : entry.known) {
      if (!known.answered_at) continue;
      if (zone == nullptr) zone = &contacts[entry.group.zone];
      ++zone->agents;
      if (!known.error.empty()) zone->silences.push_back(known.silence());
    }
  }
  return contacts;
}

std::set<kube::ObjectKey> Prober::deployments_in(const std::set<std::string>& zones) const {
  const std::lock_guard lock(mutex_);
  std::set<kube::ObjectKey> deployments;
  for (const auto& [name, entry] : entries_) {
    if (zones.contains(entry.group.zone)) deployments.insert(name.first);
  }
  return deployments;
}

milliseconds Prober::Known::silence() const {
  if (watched) return milliseconds(0);
  return std::chrono::duration_cast<milliseconds>(Clock::now() - alive_at);
}

bool Prober::in_doubt(const Entry& entry) {
  return std::any_of(entry.known.begin(), entry.known.end(), [](const Known& known) {
    return !known.error.empty() && known.answered_at && known.silence() < kEvidenceLimit;
  });
}

// Its leader can speak for it.
bool Prober::is_steady(const Entry& entry) {
  const ProbeGroup& group = entry.group;
  const auto leads = [](const ProbePod& pod) { return pod.index == 0; };
  if (group.drain || static_cast<std::int32_t>(group.pods.size()) != group.shape.pods()) return false;
  if (std::none_of(group.pods.begin(), group.pods.end(), leads)) return false;
  return std::all_of(entry.known.begin(), entry.known.end(), [&](const Known& known) {
    const AgentStatus& status = known.status;
    return known.watched && known.error.empty() && status.phase == AgentPhase::kServing && status.generation > 0 &&
           status.generation == entry.known.front().status.generation;
  });
}

void Prober::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto now = Clock::now();
    std::vector<RoundPtr> rounds;
    while (!queue_.empty() && queue_.begin()->first <= now + std::min(options_.period / 20, kTogether)) {
      Entries::value_type& item = *queue_.begin()->second;
      queue_.erase(queue_.begin());
      rounds.push_back(begin_round_locked(item, now));
    }
    if (!rounds.empty()) {
      lock.unlock();
      for (const RoundPtr& round : rounds) ask(round);
      lock.lock();
    } else if (queue_.empty()) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, Clock::time_point(queue_.begin()->first));
    }
  }
}

Prober::RoundPtr Prober::begin_round_locked(Entries::value_type& item, Clock::time_point now) {
  Entry& entry = item.second;
  auto round = std::make_shared<Round>();
  round->number = entry.round = ++last_round_;
  round->name = item.first;
  round->group = entry.group;
  round->whole = !is_steady(entry) || now >= entry.whole_due;
  round->began = now;
  const auto since = now - entry.pushed_at;
  round->history = {entry.pushed, since >= options_.settle, since >= options_.rest};
  for (std::size_t i = 0; i < entry.group.pods.size(); ++i) {
    if (!round->whole && entry.group.pods[i].index != 0) continue;
    round->asked.push_back({i, entry.known[i].digest, {}});
  }
  round->outstanding = round->asked.size();
  ++rounds_;
  return round;
}

void Prober::ask(const RoundPtr& round) {
  if (round->asked.empty()) return finish(round);
  const std::size_t count = round->asked.size();
  for (std::size_t i = 0; i < count; ++i) {
    const Question& question = round->asked[i];
    agents_.status(address_of(round->group, round->group.pods[question.pod]), question.digest,
                   [this, round, i](StatusAnswer answer) { take_answer(round, i, std::move(answer)); });
  }
}

void Prober::take_answer(const RoundPtr& round, std::size_t number, StatusAnswer answer) {
  Question& question = round->asked[number];
  const ProbePod& pod = round->group.pods[question.pod];
  question.member.pod_index = pod.index;
  question.member.ip = pod.ip;
  {
    const std::lock_guard lock(mutex_);
    round->news = round->news || answer.status;
    if (keep_answer_locked(*round, pod.uid, std::move(answer), question.member)) round->changed = true;
    if (--round->outstanding > 0) return;
  }
  decide(round);
}

// True when it changed something that matters.
bool Prober::keep_answer_locked(const Round& round, const std::string& uid, StatusAnswer answer, MemberView& member) {
  const auto place = by_uid_.find(uid);
  if (place == by_uid_.end()) return false;  // no longer watched
  Known& known = place->second.known();
  // The same again, but of an answer that was forgotten meanwhile.
  if (answer.error.empty() && !answer.status && answer.digest != known.digest) return false;
  const auto now = Clock::now();
  const bool was_answered = known.answered_at.has_value();
  bool changed = known.error.empty() != answer.error.empty();
  known.error = answer.error;
  // Silent now, but the kernel had heard of it; as if it had been asked in every period.
  if (known.watched) known.alive_at = std::max(known.alive_at, round.began - options_.period);
  known.watched = answer.watched;
  if (!answer.error.empty()) {
    const milliseconds silence = known.silence();
    const bool history = silence > kEvidenceLimit && silence <= kEvidenceLimit + 2 * options_.period;
    return changed || (was_answered && history);  // the evidence has just become history
  }
  if (answer.status) {
    changed = changed || !was_answered || matters(known.status, *answer.status);
    known.status = std::move(*answer.status);
    known.digest = answer.digest;
  }
  known.answered_at = known.alive_at = now;
  member.answered = true;
  member.status = known.status;
  return changed;
}

void Prober::decide(const RoundPtr& round) {
  if (!round->whole || !options_.may_tell()) return finish(round);
  if (round->group.drain) return drain(round);
  std::vector<MemberView> members;
  for (Question& question : round->asked) members.push_back(std::move(question.member));
  const auto membership = next_membership(round->group.shape, members, round->history);
  if (!membership) return finish(round);
  common::log_info("group membership", {{"group", membership->group}, {"generation", membership->generation}});
  round->pushed = membership->generation;
  std::vector<std::size_t> everybody;
  for (const Question& question : round->asked) everybody.push_back(question.pod);
  tell(round, everybody, "agent refused its membership", [&](const AgentAddress& agent, AgentClient::Done done) {
    agents_.set_group(agent, *membership, std::move(done));
  });
}

void Prober::drain(const RoundPtr& round) {
  std::vector<std::size_t> leaders;
  for (const Question& question : round->asked) {
    const MemberView& member = question.member;
    if (member.pod_index != 0 || !member.answered || member.status.phase == AgentPhase::kDraining) continue;
    leaders.push_back(question.pod);
  }
  tell(round, leaders, "agent cannot be told to drain",
       [&](const AgentAddress& agent, AgentClient::Done done) { agents_.drain(agent, std::move(done)); });
}

void Prober::tell(const RoundPtr& round, const std::vector<std::size_t>& pods, const char* refusal,
                  const std::function<void(const AgentAddress&, AgentClient::Done)>& call) {
  if (pods.empty()) return finish(round);
  {
    const std::lock_guard lock(mutex_);
    round->outstanding = pods.size();
  }
  for (const std::size_t pod : pods) {
    const AgentAddress agent = address_of(round->group, round->group.pods[pod]);
    call(agent, [this, round, ip = agent.ip, refusal](const std::string& error) {
      if (!error.empty()) common::log_warn(refusal, {{"agent", ip}, {"error", error}});
      {
        const std::lock_guard lock(mutex_);
        if (--round->outstanding > 0) return;
      }
      finish(round);
    });
  }
}

void Prober::finish(const RoundPtr& round) {
  const kube::ObjectKey& deployment = round->name.first;
  if (round->changed && options_.on_change) options_.on_change(deployment);
  if (options_.on_round) options_.on_round(deployment);
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(round->name);
  if (found != entries_.end() && found->second.round == round->number) {
    Entry& entry = found->second;
    entry.round = 0;
    if (round->whole) entry.whole_due = round->began + unhurried_locked(options_.followers);
    if (round->pushed) {
      entry.pushed = *round->pushed;
      entry.pushed_at = Clock::now();
    }
    schedule_locked(*found, next_due_locked(entry, *round));
  }
  --rounds_;
  if (stopping_) changed_.notify_all();  // under the lock: the destructor may be waiting for this
}

Prober::Clock::time_point Prober::next_due_locked(Entry& entry, const Round& round) {
  const auto now = Clock::now();
  if (std::exchange(entry.again, false)) {
    entry.whole_due = now;
    return now;
  }
  if (round.pushed) return now + options_.period / 4;  // soon: it was just told something
  if (in_doubt(entry)) return std::min(round.began + options_.period, now + options_.retry);
  if (is_steady(entry) && !round.news && !entry.group.closely) return round.began + unhurried_locked(options_.quiet);
  return round.began + options_.period;
}

// So that groups that began together do not stay together.
milliseconds Prober::about(milliseconds time) {
  return time * (900 + static_cast<int>(random_() % 200)) / 1000;
}

milliseconds Prober::unhurried_locked(milliseconds time) {
  const double usual = options_.quiet_groups_per_second * std::chrono::duration<double>(options_.quiet).count();
  const double factor = std::max(1.0, static_cast<double>(entries_.size()) / usual);
  return about(std::chrono::duration_cast<milliseconds>(time * factor));
}

// A connection ended: everything about the group is asked anew.
void Prober::lost(const std::string& ip, milliseconds silent_for) {
  const std::lock_guard lock(mutex_);
  const auto place = by_ip_.find(ip);
  if (place == by_ip_.end()) return;
  Known& known = place->second.known();
  known.watched = false;
  known.alive_at = std::max(known.alive_at, Clock::now() - silent_for);
  ask_soon_locked(*place->second.entry);
}

}  // namespace millrace::controller
