// The controller of ModelDeployments: informers fill caches and put keys into the queue, workers take keys and
// reconcile. Caches fill as soon as it exists; workers run between start() and stop(), so that a standby is warm.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "operator/kube/client.h"
#include "operator/kube/watcher.h"
#include "operator/kube/work_queue.h"
#include "operator/probe/agent_clients.h"
#include "operator/probe/autoscaler.h"
#include "operator/probe/prober.h"
#include "operator/reconcile/follower.h"
#include "operator/reconcile/reconciler.h"
#include "operator/reconcile/zone_monitor.h"

namespace millrace::controller {

// Feeds the controller_runtime_* metrics. Called from the workers.
class ReconcileObserver {
 public:
  virtual ~ReconcileObserver() = default;
  virtual void started() = 0;
  // `result`: "success", "requeue_after" or "error".
  virtual void finished(std::string_view result, std::chrono::duration<double> time) = 0;
};

struct ControllerOptions {
  std::vector<std::string> namespaces;  // empty: all
  int workers = 16;
  ReconcilerOptions reconciler;
  // False: keys wait, and agents are only asked (leadership is lost or not yet won).
  std::function<bool()> may_write = [] { return true; };
  kube::EventRecorder* events = nullptr;  // these are borrowed and may be null
  kube::QueueObserver* queue_observer = nullptr;
  ReconcileObserver* observer = nullptr;
};

class Controller {
 public:
  // `client` is borrowed.
  Controller(kube::Client& client, AgentClients agents, ControllerOptions options);
  ~Controller();  // stops

  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  bool synced() const;
  void start();         // idempotent; workers begin when the caches are filled
  void stop_workers();  // nothing is written any more; for good
  void stop();          // everything else as well, which takes longer

  const kube::WorkQueue& queue() const { return queue_; }
  const std::vector<std::unique_ptr<kube::Informer>>& informers() const { return informers_; }
  ZoneHealths zones() const { return zones_->health(); }
  // The node's zone is in doubt or has failed, as far as it looks from here.
  bool is_doubted(const std::string& node) const;
  // What a pod's agent last said. Not after stop().
  std::optional<AgentEvidence> evidence(const std::string& pod_uid) const { return prober_->evidence(pod_uid); }

 private:
  void watch(const kube::ResourceKind& kind, const std::string& ns);
  void on_change(const kube::ResourceKind& kind, const kube::Change& change);
  void enqueue(const kube::ObjectKey& deployment, kube::Priority priority);
  void enqueue_all();
  void look_at_zones(const std::stop_token& stop);
  void watch_zones(const std::stop_token& stop);
  void work(std::stop_token stop);
  void reconcile(const kube::ObjectKey& key);
  std::vector<const kube::Informer*> borrowed() const;
  const std::vector<NodeView>& nodes();  // for the zones' thread alone
  std::map<std::string, KubeletAnswers> kubelets(const std::set<std::string>& zones) const;

  kube::Client& client_;
  const ControllerOptions options_;
  kube::WorkQueue queue_;
  std::unique_ptr<Autoscaler> autoscaler_;  // the prober's threads use it
  std::unique_ptr<Prober> prober_;
  const Prober* asked_ = nullptr;  // the same; its threads may still read it while it is being destroyed
  std::unique_ptr<Follower> follower_;
  std::vector<std::unique_ptr<kube::Informer>> informers_;
  std::vector<const kube::Informer*> deployments_;  // those of ModelDeployments; complete before nodes are watched
  std::unique_ptr<CachedReader> cache_;
  std::vector<NodeView> nodes_;    // as of the store's
  std::uint64_t nodes_as_of_ = 0;  // number of changes
  std::unique_ptr<ExpertBalancer> experts_;
  std::unique_ptr<GoldenExaminer> examiner_;
  std::unique_ptr<ZoneMonitor> zones_;
  std::unique_ptr<Reconciler> reconciler_;
  std::jthread zone_watch_;
  std::vector<std::jthread> workers_;
};

}  // namespace millrace::controller
