#include "operator/reconcile/reconciler.h"

#include <algorithm>
#include <set>

#include "common/log.h"
#include "operator/api/labels.h"
#include "operator/kube/timestamp.h"
#include "operator/plan/revision.h"
#include "operator/reconcile/api_key.h"
#include "operator/reconcile/compare.h"
#include "operator/reconcile/observe.h"
#include "operator/reconcile/stale.h"
#include "operator/resources/config_map.h"
#include "operator/resources/disruption_budget.h"
#include "operator/resources/pod.h"
#include "operator/resources/service.h"

namespace millrace::controller {
namespace {

using common::Code;
using std::chrono::milliseconds;

constexpr milliseconds kLookAgainSoon{200};
constexpr milliseconds kLookForSecret{3'000};  // Secrets are not watched

bool all_routable(const Observed& observed, const Spec& spec) {
  const auto& groups = observed.groups;
  return groups.size() >= static_cast<std::size_t>(spec.replicas) &&
         std::all_of(groups.begin(), groups.end(), [](const GroupView& group) { return group.routable(); });
}

ExpertPolicy expert_policy(const ExpertsSpec& spec) {
  return {std::chrono::seconds(spec.interval_seconds), spec.min_improvement_percent / 100.0, spec.max_bytes_per_second};
}

// By the order in which the names of the nodes appear; empty while a pod has no node.
std::vector<std::int32_t> nodes_of_expert_ranks(const Spec& spec, const GroupView& group) {
  std::vector<std::string> names;
  std::vector<std::int32_t> nodes;
  const std::int32_t shards = spec.parallelism.tensor / spec.parallelism.expert;
  for (std::int32_t rank = 0; rank < spec.parallelism.expert; ++rank) {
    const PodView* pod = group.pod(rank * shards / spec.devices.per_pod);
    if (pod == nullptr || pod->node.empty()) return {};
    const auto known = std::find(names.begin(), names.end(), pod->node);
    nodes.push_back(static_cast<std::int32_t>(known - names.begin()));
    if (known == names.end()) names.push_back(pod->node);
  }
  return nodes;
}

}  // namespace

Reconciler::Reconciler(kube::Client& client, const ClusterReader& cache, AgentProbe& probe, kube::EventRecorder* events,
                       ReconcilerOptions options)
    : client_(client),
      cache_(cache),
      probe_(probe),
      events_(events),
      options_(std::move(options)),
      rollouts_(client, options_.now, options_.examiner),
      tokens_(client, events, options_.now),
      trust_(client),
      gates_(client, options_.now),
      status_(client, events, options_.now) {}

Result Reconciler::reconcile(const kube::ObjectKey& key) {
  kube::ObjectPtr object = cache_.get(kube::kModelDeployment, key);
  if (!object || object->is_deleted()) {  // owner references and garbage collection do the rest
    forget(key);
    return {};
  }
  ParsedSpec parsed = parse_spec(*object, UnknownFields::kIgnore);
  StatusInput status;
  status.deployment = key.name;
  status.generation = object->generation();
  status.problems = parsed.problems;
  if (!parsed.ok()) {
    status.observed = observe(cache_, *object);
    status_.write(*object, status, false);
    return {};
  }
  if (parsed.spec.image.empty()) parsed.spec.image = options_.agent_image;
  status.autoscaling = autoscale(*object, parsed.spec);
  if (status.autoscaling) object = with_decision(object, *status.autoscaling);
  if (!object) return {kLookAgainSoon};
  const std::string revision = revision_of(parsed.spec);
  const Parent parent = parent_of(*object, std::move(parsed.spec), revision);

  Outcome outcome = carry_out(*object, parent);
  status.spec = parent.spec;
  status.revision = revision;
  status.endpoint = endpoint_url(parent);
  status.observed = outcome.observed;
  status.rollout = outcome.rollout.report;
  status.supply = outcome.plan.supply;
  status.moves = outcome.plan.moves;
  status.waiting = outcome.plan.waiting;
  status.missing = outcome.missing;
  status.error = outcome.error;
  watch_load(key, status.autoscaling, outcome.observed);
  if (options_.experts != nullptr && parent.spec.experts) status.experts = options_.experts->status(key);
  outcome.plan.wait_at_most(status_.write(*object, status, outcome.plan.acts()));
  if (!outcome.error.empty()) throw common::Error(Code::kUnavailable, outcome.error);
  if (outcome.stale) return {kLookAgainSoon};
  const milliseconds again = outcome.plan.look_again;
  return {outcome.missing.empty() || (again.count() > 0 && again < kLookForSecret) ? again : kLookForSecret};
}

// From here on spec.replicas are those in force, whoever asked for them.
std::optional<AutoscaleStatusInput> Reconciler::autoscale(const kube::Object& object, Spec& spec) {
  if (!spec.autoscaling) return std::nullopt;
  AutoscaleStatusInput input;
  input.spec = *spec.autoscaling;
  input.spec_replicas = spec.replicas;
  if (options_.autoscaler != nullptr) input.record = options_.autoscaler->record(object.key());
  std::optional<std::int32_t> decided;
  if (input.record) decided = input.record->decision.desired;
  input.earlier = earlier_decision(object.at("/status"));
  std::optional<std::int32_t> recorded;
  if (input.earlier) recorded = input.earlier->replicas;
  spec.replicas = effective_replicas(spec.replicas, spec.autoscaling, decided, recorded);
  input.replicas = spec.replicas;
  return input;
}

kube::ObjectPtr Reconciler::with_decision(const kube::ObjectPtr& object, const AutoscaleStatusInput& input) {
  const std::int32_t recorded = input.earlier ? input.earlier->replicas : input.spec_replicas;
  if (!input.record || recorded == input.record->decision.desired) return object;
  const Json autoscaling = autoscale_status(input, object->at("/status/autoscaling"));
  if (autoscaling.is_null()) return object;
  Json status = object->at("/status").is_object() ? object->at("/status") : Json::object();
  status["autoscaling"] = autoscaling;
  return status_.store(*object, std::move(status));
}

void Reconciler::watch_load(const kube::ObjectKey& key, const std::optional<AutoscaleStatusInput>& autoscaling,
                            const Observed& observed) {
  if (options_.autoscaler == nullptr) return;
  const bool on =
      autoscaling && autoscaling->spec.mode == AutoscalingSpec::Mode::kBuiltIn && autoscaling->spec_replicas > 0;
  if (on) {
    options_.autoscaler->watch(key, *autoscaling, observed.groups);
  } else {
    options_.autoscaler->forget(key);
  }
}

void Reconciler::forget(const kube::ObjectKey& key) {
  probe_.watch(key, {});
  rollouts_.forget(key);
  gates_.forget(key);
  status_.forget(key);
  if (options_.autoscaler != nullptr) options_.autoscaler->forget(key);
  if (options_.experts != nullptr) options_.experts->watch(key, {});
  tokens_.forget(key);
  trust_.forget(key);
  const std::lock_guard lock(memories_mutex_);
  memories_.erase(key);
}

Reconciler::Outcome Reconciler::carry_out(const kube::Object& object, const Parent& parent) {
  Outcome outcome;
  try {
    look(cache_, object, parent, outcome);
    const AdminTokens::Access admin = tokens_.get(object, parent, !outcome.plan.create.empty());
    LiveLook live(client_);
    rollouts_.keep(object, parent, outcome.observed, outcome.rollout, live);
    apply_children(parent, outcome.rollout);
    // The cache may be behind what we did a moment ago: such steps are decided on the cluster itself.
    if (outcome.plan.moves_groups()) look(live, object, parent, outcome);
    TlsTrust::Look trust = trust_.look(parent, outcome.observed);
    const AgentAccess access{admin.token.token, admin.token.previous, std::move(trust.clients)};
    if (!all_routable(outcome.observed, parent.spec)) {
      outcome.missing = trust.problem.empty() ? api_key_problem(client_, parent) : trust.problem;
    }
    act(object, parent, outcome);
    remember(parent.key, outcome.plan);
    remove_old_config_maps(parent, outcome);
    watch_agents(parent, outcome, access);
    rollouts_.examine(parent, outcome.observed, outcome.rollout, access);
    if (options_.experts != nullptr) balance_experts(parent, outcome, access);
    outcome.plan.wait_at_most(admin.look_again);
  } catch (const common::Error& error) {
    outcome.error = error.what();
  }
  return outcome;
}

void Reconciler::look(const ClusterReader& from, const kube::Object& object, const Parent& parent, Outcome& outcome) {
  outcome.observed = observe(from, object);
  outcome.rollout = rollouts_.look(from, object, parent, outcome.observed);
  const RolloutReport& report = outcome.rollout.report;
  outcome.plan = plan(parent.key.name, parent.spec, report.target, outcome.observed, options_.now());
  outcome.plan.wait_at_most(report.canary.look_again);
}

Observed Reconciler::observe(const ClusterReader& from, const kube::Object& object) {
  Observed observed;
  observed.groups = group_views(from.children(kube::kPod, object.key()), object.uid(),
                                [&](const std::string& uid) { return probe_.evidence(uid); });
  observed.nodes = node_views(cache_.nodes());
  observed.zones = options_.zones();
  const std::lock_guard lock(memories_mutex_);
  PlacementMemory& memory = memories_[object.key()];
  memory.see(observed.groups, options_.now());
  observed.memory = memory.recall(options_.now());
  return observed;
}

// A zone without room is left alone for a while.
void Reconciler::remember(const kube::ObjectKey& key, const Plan& plan) {
  const std::lock_guard lock(memories_mutex_);
  for (const std::string& zone : plan.full_zones) memories_[key].note_full(zone, options_.now());
}

void Reconciler::apply_children(const Parent& parent, const RolloutView& rollout) {
  for (const auto& [revision, of_revision] : rollout.parents) {
    const bool made = rollout.report.target.share(revision) != nullptr;
    if (made) apply(kube::kConfigMap, build_config_map(of_revision));
  }
  apply(kube::kService, build_service(parent));
  apply(kube::kPodDisruptionBudget, build_disruption_budget(parent));
}

void Reconciler::apply(const kube::ResourceKind& kind, const kube::Object& wanted) {
  const kube::Object marked = with_applied_mark(wanted);
  const kube::ObjectPtr stored = cache_.get(kind, wanted.key());
  if (stored && is_as_wanted(marked, *stored)) return;
  if (stored) {
    const auto owner = stored->controller_owner();
    const auto parent = wanted.controller_owner();
    if (!owner || owner->uid != parent->uid) {
      throw common::Error(Code::kAlreadyExists, std::string(kind.kind) + " " + to_string(wanted.key()) +
                                                    " exists and does not belong to this ModelDeployment: rename one "
                                                    "of them or delete it");
    }
  }
  client_.apply(kind, marked);
}

void Reconciler::remove_old_config_maps(const Parent& parent, const Outcome& outcome) {
  std::set<std::string> needed{parent.revision};
  for (const Share& share : outcome.rollout.report.target.shares) needed.insert(share.revision);
  for (const GroupView& group : outcome.observed.groups) needed.insert(group.revision);
  for (const kube::ObjectPtr& map : cache_.children(kube::kConfigMap, parent.key)) {
    const auto owner = map->controller_owner();
    const auto revision = map->label(kRevisionLabel);
    if (!owner || owner->uid != parent.uid || !revision || needed.contains(*revision)) continue;
    client_.remove(kube::kConfigMap, map->key());
  }
}

void Reconciler::act(const kube::Object& object, const Parent& parent, Outcome& outcome) {
  const auto attempt = [&](auto&& step) {
    if (!unless_stale(step)) outcome.stale = true;
  };
  const Plan& plan = outcome.plan;
  std::vector<SetGate> gates;
  for (const RetirePod& pod : plan.retire) {
    attempt([&] { retire(parent, pod); });
    if (outcome.observed.find_pod(pod.name)->gate.value_or(false)) gates.push_back({pod.name, false, "Retiring"});
  }
  gates.insert(gates.end(), plan.gates.begin(), plan.gates.end());
  for (const std::exception_ptr& error : gates_.write(parent.key, gates, outcome.observed)) {
    attempt([&] {
      if (error) std::rethrow_exception(error);
    });
  }
  for (const DeletePod& pod : plan.erase) {
    kube::RemoveOptions options;
    options.uid = pod.uid;
    attempt([&] { client_.remove(kube::kPod, {parent.key.ns, pod.name}, options); });
  }
  for (const CreatePod& pod : plan.create) {
    attempt([&] { client_.create(kube::kPod, build_pod(outcome.rollout.parents.at(pod.revision), pod)); });
  }
  tell(object, plan);
}

void Reconciler::retire(const Parent& parent, const RetirePod& pod) {
  client_.patch(kube::kPod, {parent.key.ns, pod.name},
                {{"metadata", {{"annotations", {{kRetiringAnnotation, kube::format_time(options_.now())}}}}}});
}

std::vector<ProbeGroup> Reconciler::probe_groups(const kube::ObjectKey& key, const std::vector<GroupView>& groups,
                                                 const AgentAccess& access) const {
  std::map<std::string, GroupShape> shapes;
  for (const kube::ObjectPtr& pod : cache_.children(kube::kPod, key)) {
    if (const auto shape = shape_of_pod(*pod)) shapes[shape->name] = *shape;
  }
  std::vector<ProbeGroup> result;
  for (const GroupView& group : groups) {
    if (!shapes.contains(group.name) || group.terminating()) continue;
    ProbeGroup target{shapes[group.name], {}, access.token, false, group.zone};
    target.previous_token = access.previous_token;
    target.tls = access.at("", group.pods.front().tls_secret).tls;
    for (const PodView& pod : group.pods) {
      if (!pod.ip.empty() && !pod.ended()) target.pods.push_back({pod.uid, pod.ip, pod.index});
    }
    if (!target.pods.empty()) result.push_back(std::move(target));
  }
  return result;
}

void Reconciler::watch_agents(const Parent& parent, const Outcome& outcome, const AgentAccess& access) {
  const std::set<std::string> draining(outcome.plan.draining.begin(), outcome.plan.draining.end());
  const auto& autoscaling = parent.spec.autoscaling;
  const bool closely =
      outcome.rollout.report.canary.measures || (autoscaling && autoscaling->mode == AutoscalingSpec::Mode::kBuiltIn);
  std::vector<ProbeGroup> groups = probe_groups(parent.key, outcome.observed.groups, access);
  for (ProbeGroup& group : groups) {
    group.drain = draining.contains(group.shape.name);
    group.closely = closely;
  }
  probe_.watch(parent.key, std::move(groups));
}

std::vector<ProbeGroup> Reconciler::agents_of(const kube::ObjectKey& key) {
  const kube::ObjectPtr object = cache_.get(kube::kModelDeployment, key);
  if (!object || object->is_deleted()) {
    trust_.forget(key);
    return {};
  }
  ParsedSpec parsed = parse_spec(*object, UnknownFields::kIgnore);
  const auto token = tokens_.read_only(key);
  if (!parsed.ok() || !token) return {};
  Observed observed;
  observed.groups =
      group_views(cache_.children(kube::kPod, key), object->uid(), [](const std::string&) { return std::nullopt; });
  const std::string revision = revision_of(parsed.spec);
  TlsTrust::Look trust = trust_.look(parent_of(*object, std::move(parsed.spec), revision), observed);
  return probe_groups(key, observed.groups, {token->token, token->previous, std::move(trust.clients)});
}

void Reconciler::balance_experts(const Parent& parent, const Outcome& outcome, const AgentAccess& access) {
  std::vector<ExpertGroup> groups;
  const Spec& spec = parent.spec;
  const bool wanted = spec.experts && spec.experts->move && spec.parallelism.expert > 1;
  for (const GroupView& group : outcome.observed.groups) {
    const PodView* leader = group.leader();
    if (!wanted || !group.routable() || group.retiring() || leader == nullptr) continue;
    groups.push_back({group.name, access.at(leader->ip, leader->tls_secret), nodes_of_expert_ranks(spec, group),
                      expert_policy(*spec.experts)});
  }
  options_.experts->watch(parent.key, groups);
}

void Reconciler::tell(const kube::Object& object, const Plan& plan) {
  std::set<std::string> told;
  const auto once = [&](const std::string& group, const char* reason, const char* action, const std::string& message) {
    if (!told.insert(group).second) return;
    common::log_info(message, {{"deployment", to_string(object.key())}, {"group", group}});
    if (events_ != nullptr) events_->normal(object, reason, action, message + ": " + group);
  };
  for (const CreatePod& pod : plan.create) once(pod.group, "GroupCreated", "Create", "Created a group");
  for (const RetirePod& pod : plan.retire) once(pod.group, "GroupRetired", "Retire", "Retired a group, " + pod.reason);
  for (const DeletePod& pod : plan.erase) once(pod.name, "PodDeleted", "Delete", "Deleted a pod, " + pod.reason);
}

}  // namespace millrace::controller
