#include "tests/operator/reconcile/crash_world.h"

#include <set>
#include <utility>

#include "operator/resources/controller_revision.h"

namespace millrace::controller::testing {
namespace {

const kube::ResourceKind kChildren[] = {kube::kPod,    kube::kService,     kube::kConfigMap, kube::kPodDisruptionBudget,
                                        kube::kSecret, kControllerRevision};

const ExpertPolicy kExperts{std::chrono::seconds(4), 0.05, 0};

// Differs from life to life.
bool is_incidental(const std::string& key) {
  static const std::set<std::string> kKeys{"uid",
                                           "resourceVersion",
                                           "creationTimestamp",
                                           "generation",
                                           "observedGeneration",
                                           "podIP",
                                           "lastTransitionTime",
                                           kCompletedAnnotation,
                                           kRetiringAnnotation,
                                           "token",
                                           "previous",
                                           "previous-until",
                                           "decidedAt",
                                           "inputs",
                                           "since",
                                           "asOf",
                                           "replicaHours"};
  return kKeys.contains(key);
}

Json without_incidentals(const Json& value) {
  if (value.is_array()) {
    Json result = Json::array();
    for (const Json& item : value) result.push_back(without_incidentals(item));
    return result;
  }
  if (!value.is_object()) return value;
  Json result = Json::object();
  for (const auto& item : value.items()) {
    result[item.key()] = is_incidental(item.key()) ? Json("*") : without_incidentals(item.value());
  }
  return result;
}

}  // namespace

std::vector<kube::ObjectPtr> SharingReader::all(const kube::ResourceKind& kind) const {
  Reading& reading = readings_[std::string(kind.plural)];
  const std::uint64_t version = cluster_.version();
  if (reading.version == version) return reading.objects;
  reading = {version, {}};
  for (kube::Object& object : cluster_.list(kind, {}).items) {
    reading.objects.push_back(std::make_shared<const kube::Object>(std::move(object)));
  }
  return reading.objects;
}

kube::ObjectPtr SharingReader::get(const kube::ResourceKind& kind, const kube::ObjectKey& key) const {
  for (const kube::ObjectPtr& object : all(kind)) {
    if (object->key() == key) return object;
  }
  return nullptr;
}

std::vector<kube::ObjectPtr> SharingReader::children(const kube::ResourceKind& kind,
                                                     const kube::ObjectKey& deployment) const {
  std::vector<kube::ObjectPtr> result = all(kind);
  std::erase_if(result, [&](const kube::ObjectPtr& object) {
    return object->ns() != deployment.ns || object->label(kDeploymentLabel) != deployment.name;
  });
  return result;
}

void LaggingReader::round() {
  seen_ = std::move(next_);
  next_ = {};
  std::vector<kube::ResourceKind> kinds(std::begin(kChildren), std::end(kChildren));
  kinds.insert(kinds.end(), {kube::kModelDeployment, kube::kNode});
  for (const kube::ResourceKind& kind : kinds) next_[std::string(kind.plural)] = SharingReader::all(kind);
}

std::vector<kube::ObjectPtr> LaggingReader::all(const kube::ResourceKind& kind) const {
  const auto found = seen_.find(kind.plural);
  return found == seen_.end() ? std::vector<kube::ObjectPtr>() : found->second;
}

// Everything that a process of the operator has in memory.
struct CrashWorld::Operator {
  explicit Operator(CrashWorld& of)
      : owner(of),
        client(of.world.cluster, of.point),
        agents(of.experts, of.point),
        autoscaler(AutoscalerOptions{[&of](const std::string& uid) { return of.world.probe.evidence(uid); },
                                     [&of] { return of.world.now; }, [](const kube::ObjectKey&) {}}),
        reconciler(client, of.reader(), of.world.probe, nullptr, options()) {}

  ReconcilerOptions options() {
    ReconcilerOptions options;
    options.agent_image = "agent:1";
    options.now = [this] { return owner.world.now; };
    options.zones = [this] { return owner.zones; };
    options.autoscaler = &autoscaler;
    return options;
  }

  // One look at every group whose experts may move, as the balancer's threads take it.
  void balance_experts() {
    const kube::ObjectPtr deployment = owner.fresh_.get(kube::kModelDeployment, owner.world.key);
    if (!deployment || !deployment->at("/spec/experts").is_object()) return;
    for (const kube::ObjectPtr& pod : owner.pods()) {
      if (!World::is_routable(*pod)) continue;
      const AgentAddress leader{pod->string_at("/status/podIP"), 0, ""};
      const auto [found, fresh] = cycles.try_emplace(leader.ip, kExperts, std::vector<std::int32_t>{}, owner.world.now);
      const auto placement = found->second.heard({agents.load(leader), agents.placement(leader)}, owner.world.now);
      if (!placement) continue;
      try {
        agents.move(leader, *placement);
      } catch (const common::Error& error) {
        found->second.refused(error.what(), owner.world.now);
      }
    }
  }

  CrashWorld& owner;
  FaultyClient client;
  FaultyExperts agents;
  Autoscaler autoscaler;
  Reconciler reconciler;
  std::map<std::string, ExpertCycle> cycles;  // by address of the leader
};

CrashWorld::CrashWorld(Cache cache) : cache_(cache) {
  start_operator();
}

const ClusterReader& CrashWorld::reader() const {
  if (cache_ == Cache::kLagging) return lagging_;
  return fresh_;
}

void CrashWorld::start_operator() {
  world.restart_operator();
  operator_ = std::make_shared<Operator>(*this);
}

void CrashWorld::round() {
  if (cache_ == Cache::kLagging) lagging_.round();
  try {
    operator_->reconciler.reconcile(world.key);
    operator_->autoscaler.look(world.key);
    operator_->balance_experts();
  } catch (const Killed&) {
    start_operator();
  } catch (const common::Error&) {  // the controller would log it and try again
  }
  run_pods();
  run_agents();
  experts.round();
  world.now += std::chrono::seconds(2);
}

bool CrashWorld::is_silent(const kube::Object& pod) const {
  return silent_zones.contains(pod.label(kZoneLabel).value_or(""));
}

std::vector<kube::ObjectPtr> CrashWorld::pods() const {
  std::vector<kube::ObjectPtr> pods = fresh_.all(kube::kPod);
  std::erase_if(pods, [](const kube::ObjectPtr& pod) { return World::verifies(*pod); });
  return pods;
}

// The kubelets of world.h, but each in its zone.
void CrashWorld::run_pods() {
  world.run_verifiers();
  kube::RemoveOptions at_once;
  at_once.grace_period = 0;
  kube::ApplyOptions report;
  report.subresource = "status";
  report.field_manager = "kubelet";
  for (const kube::ObjectPtr& object : pods()) {
    const kube::Object& pod = *object;
    if (is_silent(pod)) continue;
    if (pod.is_deleted()) {
      world.cluster.remove(kube::kPod, pod.key(), at_once);
      continue;
    }
    std::string ip = pod.string_at("/status/podIP");
    if (ip.empty()) {
      ip = "10.0.0." + std::to_string(++last_ip_);
      world.cluster.patch(kube::kPod, pod.key(), {{"spec", {{"nodeName", "node-" + pod.label(kZoneLabel).value()}}}});
    }
    const char* ready = World::is_routable(pod) ? "True" : "False";
    if (std::exchange(reported_[pod.uid()], ip + ready) == ip + ready) continue;
    kube::Object status(kube::kPod, pod.key());
    status.json()["status"] = {
        {"phase", "Running"},
        {"podIP", ip},
        {"conditions", {{{"type", "ContainersReady"}, {"status", "True"}}, {{"type", "Ready"}, {"status", ready}}}}};
    world.cluster.apply(kube::kPod, status, report);
  }
}

// By the pod, not by the name of its group, which a later group may bear.
bool CrashWorld::is_told_to_drain(const std::string& uid) const {
  for (const auto& [key, groups] : world.probe.watched) {
    for (const ProbeGroup& group : groups) {
      if (!group.drain) continue;
      for (const ProbePod& pod : group.pods) {
        if (pod.uid == uid) return true;
      }
    }
  }
  return false;
}

// An agent that was told to drain does so whoever asks later, and has something to finish for a while.
void CrashWorld::run_agents() {
  constexpr int kBusy = 2;
  const int sharers = load ? serving() : 0;
  for (const kube::ObjectPtr& object : pods()) {
    const kube::Object& pod = *object;
    if (pod.string_at("/status/podIP").empty()) continue;
    if (is_silent(pod)) {
      world.probe.known.erase(pod.uid());
      continue;
    }
    AgentEvidence& evidence = world.probe.known[pod.uid()];
    evidence.answered = true;
    common::AgentStatus& status = evidence.status;
    if (is_told_to_drain(pod.uid())) told_.try_emplace(pod.uid(), 0);
    status.phase = common::AgentPhase::kServing;
    if (const auto told = told_.find(pod.uid()); told != told_.end()) {
      status.phase = common::AgentPhase::kDraining;
      status.in_flight = ++told->second <= kBusy ? 1 : 0;
    }
    if (!sound_revision.empty() && pod.label(kRevisionLabel) != sound_revision) {
      status.phase = common::AgentPhase::kFailed;
      status.message = "the weights are broken";
    }
    if (load) report_load(pod, sharers, status);
  }
}

void CrashWorld::report_load(const kube::Object& pod, int sharers, common::AgentStatus& status) {
  std::uint64_t& arrived = arrived_[pod.uid()];
  if (World::is_routable(pod)) arrived += load->arrivals / static_cast<std::uint64_t>(sharers);
  const auto told = std::make_shared<common::AgentLoad>();
  told->arrivals = arrived;
  told->queue = load->queue;
  told->running = load->queue > 0 ? 8 : 0;
  told->kv_usage = load->queue > 0 ? 0.6 : 0.0;
  status.load = told;
}

Json CrashWorld::picture() {
  Json picture;
  for (const kube::ResourceKind& kind : kChildren) {
    for (const kube::ObjectPtr& object : fresh_.all(kind)) {
      picture[std::string(kind.kind) + " " + object->name()] = without_incidentals(object->json());
    }
  }
  for (const kube::ObjectPtr& object : fresh_.all(kube::kModelDeployment)) {
    picture["ModelDeployment " + object->name()] = without_incidentals(object->json());
  }
  return picture;
}

std::string CrashWorld::orphan() {
  const kube::ObjectPtr parent = fresh_.get(kube::kModelDeployment, world.key);
  for (const kube::ResourceKind& kind : kChildren) {
    for (const kube::ObjectPtr& object : fresh_.all(kind)) {
      const auto owner = object->controller_owner();
      const bool owned = parent && owner && owner->uid == parent->uid();
      if (!owned && !object->is_deleted()) return std::string(kind.kind) + " " + object->name();
    }
  }
  return "";
}

int CrashWorld::groups() {
  std::set<std::string> names;
  for (const kube::ObjectPtr& pod : pods()) {
    if (!pod->is_deleted()) names.insert(pod->label(kGroupLabel).value_or(""));
  }
  return static_cast<int>(names.size());
}

int CrashWorld::serving() {
  int count = 0;
  for (const kube::ObjectPtr& pod : pods()) {
    const bool leader = pod->label(kPodIndexLabel) == "0";
    if (leader && !pod->is_deleted() && World::is_routable(*pod)) ++count;
  }
  return count;
}

}  // namespace millrace::controller::testing
