// Brings one ModelDeployment closer to what it asks for. Level-based: what event led here does not matter, and any call
// may be the first after a restart.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "operator/kube/client.h"
#include "operator/kube/events.h"
#include "operator/plan/plan.h"
#include "operator/plan/status.h"
#include "operator/probe/autoscaler.h"
#include "operator/probe/prober.h"
#include "operator/reconcile/admin_tokens.h"
#include "operator/reconcile/experts.h"
#include "operator/reconcile/gate_writer.h"
#include "operator/reconcile/reader.h"
#include "operator/reconcile/rollouts.h"
#include "operator/reconcile/status_writer.h"
#include "operator/reconcile/tls_trust.h"
#include "operator/resources/child.h"

namespace millrace::controller {

struct Result {
  std::chrono::milliseconds again_after{0};  // 0: only when something changes
};

struct ReconcilerOptions {
  std::string agent_image;  // for deployments that name none
  std::function<TimePoint()> now = [] { return std::chrono::system_clock::now(); };
  std::function<ZoneHealths()> zones = [] { return ZoneHealths{}; };
  Autoscaler* autoscaler = nullptr;    // borrowed; null: replicas stay what status and spec say
  ExpertBalancer* experts = nullptr;   // borrowed; null: experts stay where they are
  GoldenExaminer* examiner = nullptr;  // borrowed; null: golden prompts are not asked
};

// Any thread, one key at a time (the work queue sees to that). Everything is borrowed; `events` may be null.
class Reconciler {
 public:
  Reconciler(kube::Client& client, const ClusterReader& cache, AgentProbe& probe, kube::EventRecorder* events,
             ReconcilerOptions options);

  // Throws common::Error when the cluster refused something; the status then says so, and the caller backs off.
  Result reconcile(const kube::ObjectKey& key);

  // Whom reconcile() would have asked, were there nothing to change. Writes nothing; may run beside reconcile().
  std::vector<ProbeGroup> agents_of(const kube::ObjectKey& key);

 private:
  struct Outcome {  // of one pass, for status and result
    Observed observed;
    RolloutView rollout;
    Plan plan;
    std::string error;
    std::string missing;  // that only a person can provide
    bool stale = false;   // something was not as observed: look again soon
  };

  void forget(const kube::ObjectKey& key);
  std::optional<AutoscaleStatusInput> autoscale(const kube::Object& object, Spec& spec);
  // Records a new decision before anything follows from it: who comes after a process that ends in between goes on from
  // there. The object as it is then; null when it is not the latest.
  kube::ObjectPtr with_decision(const kube::ObjectPtr& object, const AutoscaleStatusInput& input);
  void watch_load(const kube::ObjectKey& key, const std::optional<AutoscaleStatusInput>& autoscaling,
                  const Observed& observed);
  Outcome carry_out(const kube::Object& object, const Parent& parent);
  void look(const ClusterReader& from, const kube::Object& object, const Parent& parent, Outcome& outcome);
  Observed observe(const ClusterReader& from, const kube::Object& object);
  void remember(const kube::ObjectKey& key, const Plan& plan);
  void apply_children(const Parent& parent, const RolloutView& rollout);
  void apply(const kube::ResourceKind& kind, const kube::Object& wanted);
  void remove_old_config_maps(const Parent& parent, const Outcome& outcome);
  void act(const kube::Object& object, const Parent& parent, Outcome& outcome);
  void retire(const Parent& parent, const RetirePod& pod);
  std::vector<ProbeGroup> probe_groups(const kube::ObjectKey& key, const std::vector<GroupView>& groups,
                                       const AgentAccess& access) const;
  void watch_agents(const Parent& parent, const Outcome& outcome, const AgentAccess& access);
  void balance_experts(const Parent& parent, const Outcome& outcome, const AgentAccess& access);
  void tell(const kube::Object& object, const Plan& plan);

  kube::Client& client_;
  const ClusterReader& cache_;
  AgentProbe& probe_;
  kube::EventRecorder* events_;
  const ReconcilerOptions options_;
  Rollouts rollouts_;
  AdminTokens tokens_;
  TlsTrust trust_;
  GateWriter gates_;
  StatusWriter status_;

  std::mutex memories_mutex_;
  std::map<kube::ObjectKey, PlacementMemory> memories_;  // by deployment
};

}  // namespace millrace::controller
