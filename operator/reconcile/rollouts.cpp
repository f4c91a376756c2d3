#include "operator/reconcile/rollouts.h"

#include <optional>
#include <set>

#include "common/error.h"
#include "common/log.h"
#include "operator/reconcile/observe.h"
#include "operator/reconcile/stale.h"
#include "operator/resources/controller_revision.h"
#include "operator/resources/verifier_pod.h"

namespace millrace::controller {
namespace {

std::vector<kube::ObjectPtr> own_revisions(const ClusterReader& from, const Parent& asked) {
  std::vector<kube::ObjectPtr> own;
  for (kube::ObjectPtr& object : from.children(kControllerRevision, asked.key)) {
    const auto owner = object->controller_owner();
    if (owner && owner->uid == asked.uid && revision_record(*object)) own.push_back(std::move(object));
  }
  return own;
}

std::vector<RevisionRecord> records_of(const std::vector<kube::ObjectPtr>& revisions) {
  std::vector<RevisionRecord> records;
  records.reserve(revisions.size());
  for (const kube::ObjectPtr& object : revisions) records.push_back(*revision_record(*object));
  return records;
}

std::vector<VerifierView> own_verifiers(const ClusterReader& from, const Parent& asked) {
  std::vector<VerifierView> own;
  for (const kube::ObjectPtr& pod : from.children(kube::kPod, asked.key)) {
    const auto revision = revision_verified_by(*pod);
    const auto owner = pod->controller_owner();
    if (!revision || !owner || owner->uid != asked.uid) continue;
    own.push_back({*revision, pod_view(*pod, [](const std::string&) { return std::nullopt; })});
  }
  return own;
}

VerificationInput verification_of(const Parent& asked, const Observed& observed, std::vector<VerifierView> verifiers,
                                  const RevisionRecord* record, bool rolled_back) {
  VerificationInput input;
  input.update = asked.revision;
  input.budgets = budgets_of(asked.spec.rollout, asked.spec.replicas);
  input.goes_on = !asked.spec.rollout.paused && !rolled_back && asked.spec.replicas > 0;
  input.recorded = record != nullptr && record->verified;
  input.groups = observed.groups;
  input.nodes = observed.nodes;
  input.verifiers = std::move(verifiers);
  return input;
}

Share share_of(const std::map<std::string, Parent>& parents, const std::string& revision) {
  const auto found = parents.find(revision);
  return found == parents.end() ? Share{} : Share{revision, 0, found->second.spec.pods_per_group()};
}

HistoryPlan plan_history(const Parent& asked, const Observed& observed, std::vector<RevisionRecord> records) {
  HistoryInput input{asked.revision, std::move(records), {}, asked.spec.rollout.revision_history_limit};
  for (const GroupView& group : observed.groups) input.in_use.insert(group.revision);
  return controller::plan_history(input);
}

}  // namespace

RolloutView Rollouts::look(const ClusterReader& from, const kube::Object& object, const Parent& asked,
                           const Observed& observed) const {
  RolloutView view;
  const std::vector<kube::ObjectPtr> revisions = own_revisions(from, asked);
  view.records = records_of(revisions);
  view.report.stable = stable_revision(view.records);
  view.parents.emplace(asked.revision, asked);
  for (const kube::ObjectPtr& stored : revisions) {
    if (revision_record(*stored)->revision != view.report.stable || view.report.stable == asked.revision) continue;
    if (auto parent = parent_of_revision(asked, object, *stored)) view.parents.emplace(view.report.stable, *parent);
  }
  const RevisionRecord* record = find_record(view.records, asked.revision);
  if (record != nullptr) view.report.number = record->number;
  view.report.canary = judge(asked, observed, view);
  const bool rolled_back = view.report.canary.phase == CanaryPhase::kFailed;

  view.report.verification =
      plan_verification(verification_of(asked, observed, own_verifiers(from, asked), record, rolled_back));

  TargetInput target;
  target.replicas = asked.spec.replicas;
  target.budgets = budgets_of(asked.spec.rollout, asked.spec.replicas);
  target.update = share_of(view.parents, asked.revision);
  target.stable = share_of(view.parents, view.report.stable);
  target.partition = asked.spec.rollout.partition;
  target.canary = view.report.canary.groups;
  target.rolled_back = rolled_back;
  target.paused = asked.spec.rollout.paused || view.report.verification.holds();
  view.report.target = target_of(target);
  return view;
}

CanaryPlan Rollouts::judge(const Parent& asked, const Observed& observed, const RolloutView& view) const {
  CanaryInput input;
  input.spec = asked.spec.rollout.canary;
  input.replicas = asked.spec.replicas;
  input.budgets = budgets_of(asked.spec.rollout, asked.spec.replicas);
  input.update = asked.revision;
  input.stable = view.parents.contains(view.report.stable) ? view.report.stable : "";
  input.paused = asked.spec.rollout.paused;
  input.groups = observed.groups;
  if (const RevisionRecord* record = find_record(view.records, asked.revision)) {
    input.recorded = record->verdict;
    input.recorded_reason = record->verdict_reason;
  }
  if (examiner_ != nullptr) {
    input.golden = examiner_->answers(asked.key, asked.revision);
  } else if (input.spec) {
    input.spec->golden_prompts.clear();  // nobody asks them
  }
  const std::lock_guard lock(mutex_);
  const auto found = comparisons_.find(asked.key);
  if (found != comparisons_.end() && found->second.revision == asked.revision) {
    input.samples = found->second.window.samples();
    input.measured_since = found->second.since;
  }
  return plan_canary(input, now_());
}

void Rollouts::measure(const Parent& asked, const Observed& observed, const RolloutView& view) {
  const std::lock_guard lock(mutex_);
  const TimePoint now = now_();
  Comparison& comparison = comparisons_[asked.key];
  if (comparison.revision != asked.revision) {
    comparison = {asked.revision, now, {}, {}};
  } else if (now < comparison.read_at + kCanaryLook) {
    return;
  }
  comparison.read_at = now;
  for (const GroupView& group : observed.groups) {
    const bool update = group.revision == asked.revision;
    if (!group.routable() || (!update && group.revision != view.report.stable)) continue;
    const PodView& leader = *group.leader();
    if (!leader.evidence || !is_fresh(*leader.evidence) || !leader.evidence->status.load) continue;
    comparison.window.read(leader.uid, update, *leader.evidence->status.load);
  }
}

void Rollouts::examine(const Parent& asked, const Observed& observed, const RolloutView& view,
                       const AgentAccess& access) {
  if (examiner_ == nullptr || !view.report.canary.measures || asked.spec.rollout.canary->golden_prompts.empty()) return;
  const auto leader_of = [&](const std::string& revision) -> std::optional<AgentAddress> {
    for (const GroupView& group : observed.groups) {
      if (group.revision != revision || !group.routable()) continue;
      return access.at(group.leader()->ip, group.leader()->tls_secret);
    }
    return std::nullopt;
  };
  const auto stable = leader_of(view.report.stable);
  const auto update = leader_of(asked.revision);
  if (!stable || !update) return;  // at the next look
  examiner_->examine(asked.key, {asked.revision, *stable, *update, asked.spec.rollout.canary->golden_prompts});
}

void Rollouts::forget(const kube::ObjectKey& deployment) {
  if (examiner_ != nullptr) examiner_->forget(deployment);
  const std::lock_guard lock(mutex_);
  comparisons_.erase(deployment);
}

void Rollouts::keep(const kube::Object& object, const Parent& asked, const Observed& observed, RolloutView& view,
                    LiveLook& live) {
  keep_history(object, asked, observed, view, live);
  verify(asked, view, live);
  const CanaryPlan& canary = view.report.canary;
  if (canary.measures) measure(asked, observed, view);
  if (canary.phase != CanaryPhase::kRunning && canary.phase != CanaryPhase::kStarting) forget(asked.key);
  if (canary.decided_now) {
    const bool passed = canary.phase == CanaryPhase::kPassed;
    annotate(
        asked,
        verdict_patch(view.report.number, passed ? CanaryVerdict::kPassed : CanaryVerdict::kFailed, canary.message),
        live);
    common::log_info("canary decided", {{"deployment", to_string(asked.key)},
                                        {"revision", asked.revision},
                                        {"verdict", to_string(canary.phase)},
                                        {"reason", canary.message}});
  }
  const bool finished = is_finished(view.report, asked.revision, asked.spec.replicas, observed.groups);
  if (finished && view.report.stable != asked.revision) {
    annotate(asked, completed_patch(now_()), live);
    view.report.stable = asked.revision;
  }
}

// Leftovers go only when the record is seen, so that nothing is read twice.
void Rollouts::verify(const Parent& asked, const RolloutView& view, LiveLook& live) {
  const VerificationPlan& plan = view.report.verification;
  if (plan.decided_now) {
    annotate(asked, verified_patch(view.report.number), live);
    common::log_info("model verified", {{"deployment", to_string(asked.key)}, {"revision", asked.revision}});
  }
  for (const PodView& pod : plan.erase) {
    kube::RemoveOptions options;
    options.uid = pod.uid;
    unless_stale([&] { client_.remove(kube::kPod, {asked.key.ns, pod.name}, options); });
  }
  if (plan.node.empty()) return;
  unless_stale([&] { client_.create(kube::kPod, build_verifier_pod(asked, plan.node)); });
}

void Rollouts::keep_history(const kube::Object& object, const Parent& asked, const Observed& observed,
                            RolloutView& view, LiveLook& live) {
  HistoryPlan plan = plan_history(asked, observed, view.records);
  if (plan.empty()) return;
  // The cache may be behind: numbers are given on the cluster itself.
  plan = plan_history(asked, observed, records_of(own_revisions(live, asked)));
  view.report.number = plan.number;
  if (plan.create) {
    const std::string cause = object.annotation(kChangeCauseAnnotation).value_or("");
    live.add(
        kControllerRevision,
        client_.create(kControllerRevision, build_controller_revision(asked, object.at("/spec"), plan.number, cause)));
  }
  if (plan.renumber) annotate(asked, {{"revision", plan.number}}, live);
  for (const std::string& revision : plan.erase) {
    client_.remove(kControllerRevision, {asked.key.ns, controller_revision_name(asked.key, revision)});
    live.forget(kControllerRevision);
  }
}

void Rollouts::annotate(const Parent& asked, const Json& patch, LiveLook& live) {
  client_.patch(kControllerRevision, {asked.key.ns, controller_revision_name(asked.key, asked.revision)}, patch);
  live.forget(kControllerRevision);
}

}  // namespace millrace::controller
