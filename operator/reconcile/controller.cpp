#include "operator/reconcile/controller.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "common/error.h"
#include "common/log.h"
#include "common/stop.h"
#include "operator/api/labels.h"
#include "operator/reconcile/cached_form.h"
#include "operator/reconcile/observe.h"
#include "operator/resources/controller_revision.h"

namespace millrace::controller {
namespace {

using kube::Priority;

constexpr std::chrono::milliseconds kLookForLeadership{100};
constexpr std::chrono::milliseconds kLookAtZones{500};
constexpr std::chrono::milliseconds kLookAtDoubts{200};  // traffic waits for what is found
constexpr std::chrono::milliseconds kResync{std::chrono::hours(10)};

// Nodes matter to placement by these parts only; their heartbeats do not.
bool same_for_placement(const kube::Object& a, const kube::Object& b) {
  const auto ready = [](const kube::Object& node) {
    for (const Json& condition : node.at("/status/conditions")) {
      if (condition.value("type", "") == "Ready") return condition.value("status", "");
    }
    return std::string();
  };
  return a.labels() == b.labels() && a.at("/spec") == b.at("/spec") && a.is_deleted() == b.is_deleted() &&
         a.at("/status/allocatable") == b.at("/status/allocatable") && ready(a) == ready(b);
}

}  // namespace

Controller::Controller(kube::Client& client, AgentClients agents, ControllerOptions options)
    : client_(client), options_(std::move(options)), queue_([&] {
        kube::WorkQueueOptions queue;
        queue.retry_limit = std::chrono::seconds(5);
        queue.retry_spacing = std::chrono::milliseconds(30);
        queue.observer = options_.queue_observer;
        return queue;
      }()) {
  ProberOptions probing;
  probing.may_tell = options_.may_write;
  probing.on_change = [this](const kube::ObjectKey& key) { enqueue(key, Priority::kHigh); };
  probing.on_round = [this](const kube::ObjectKey& key) { autoscaler_->look(key); };
  autoscaler_ = std::make_unique<Autoscaler>(AutoscalerOptions{
      [this](const std::string& uid) { return asked_->evidence(uid); },
      options_.reconciler.now,
      [this](const kube::ObjectKey& key) { queue_.add(key); },
  });
  prober_ = std::make_unique<Prober>(agents.agents, std::move(probing));
  asked_ = prober_.get();
  follower_ =
      std::make_unique<Follower>([this](const kube::ObjectKey& key) { return reconciler_->agents_of(key); }, *prober_);
  const std::vector<std::string> everywhere{""};
  for (const std::string& ns : options_.namespaces.empty() ? everywhere : options_.namespaces) {
    for (const kube::ResourceKind& kind : {kube::kModelDeployment, kube::kPod, kube::kService, kube::kConfigMap,
                                           kube::kPodDisruptionBudget, kControllerRevision}) {
      watch(kind, ns);
    }
  }
  watch(kube::kNode, "");  // last: its events read deployments_
  cache_ = std::make_unique<CachedReader>(borrowed());
  zones_ = std::make_unique<ZoneMonitor>(client_, ZoneMonitor::Sources{
                                                      [this] { return prober_->contacts(); },
                                                      [this] { return nodes(); },
                                                      [this](const auto& zones) { return kubelets(zones); },
                                                      options_.reconciler.now,
                                                  });
  ReconcilerOptions reconciling = options_.reconciler;
  experts_ = std::make_unique<ExpertBalancer>(agents.experts, [this](const kube::ObjectKey& key) { queue_.add(key); });
  reconciling.experts = experts_.get();
  GoldenExaminerOptions examining;
  examining.on_change = [this](const kube::ObjectKey& key) { queue_.add(key); };
  examiner_ = std::make_unique<GoldenExaminer>(agents.prompts, std::move(examining));
  reconciling.examiner = examiner_.get();
  reconciling.zones = [this] { return zones_->health(); };
  reconciling.autoscaler = autoscaler_.get();
  reconciler_ = std::make_unique<Reconciler>(client_, *cache_, *prober_, options_.events, std::move(reconciling));
}

Controller::~Controller() {
  stop();
}

std::vector<const kube::Informer*> Controller::borrowed() const {
  std::vector<const kube::Informer*> result;
  for (const auto& informer : informers_) result.push_back(informer.get());
  return result;
}

// Looked at twice a second, and seldom new.
const std::vector<NodeView>& Controller::nodes() {
  const std::uint64_t changes = informers_.back()->store().changes();
  if (changes != nodes_as_of_) nodes_ = node_views(cache_->nodes());
  nodes_as_of_ = changes;
  return nodes_;
}

void Controller::watch(const kube::ResourceKind& kind, const std::string& ns) {
  kube::InformerOptions options;
  options.kind = kind;
  options.ns = ns;
  if (kind != kube::kModelDeployment && kind != kube::kNode) {
    options.label_selector = kDeploymentLabel;  // only what is ours
    options.index_labels = {kDeploymentLabel};
  }
  if (kind != kube::kNode) options.form = kube::StoreForm::kPacked;  // nodes are read for every deployment
  options.trim = trim_of(kind);
  informers_.push_back(std::make_unique<kube::Informer>(
      client_, options, [this, kind](const kube::Change& change) { on_change(kind, change); },
      [kind](const kube::ApiError& error) {
        common::log_warn("watch failed", {{"kind", kind.kind}, {"error", error.what()}});
      }));
  if (kind == kube::kModelDeployment) deployments_.push_back(informers_.back().get());
}

void Controller::on_change(const kube::ResourceKind& kind, const kube::Change& change) {
  const Priority priority = change.from_list ? Priority::kLow : Priority::kHigh;
  if (kind == kube::kNode) {
    const bool same = change.before && change.after && same_for_placement(*change.before, *change.after);
    if (!same && !change.from_list) enqueue_all();
  } else if (kind == kube::kModelDeployment) {
    enqueue(change.object().key(), priority);
  } else if (const auto owner = change.object().label(kDeploymentLabel)) {
    enqueue({change.object().ns(), *owner}, priority);
  }
}

void Controller::enqueue(const kube::ObjectKey& deployment, Priority priority) {
  queue_.add(deployment, priority);
  if (!options_.may_write()) follower_->add(deployment);
}

void Controller::enqueue_all() {
  for (const kube::Informer* informer : deployments_) {
    for (const kube::ObjectKey& key : informer->store().keys()) queue_.add(key, Priority::kLow);
  }
}

bool Controller::synced() const {
  return std::all_of(informers_.begin(), informers_.end(), [](const auto& informer) { return informer->synced(); });
}

void Controller::start() {
  if (!workers_.empty()) return;
  zone_watch_ = std::jthread([this](const std::stop_token& stop) { watch_zones(stop); });
  follower_->start();
  for (int i = 0; i < options_.workers; ++i) {
    workers_.emplace_back([this](std::stop_token stop) { work(stop); });
  }
}

// Also by an operator that does not lead: it may have to when a zone is lost.
void Controller::watch_zones(const std::stop_token& stop) {
  do {
    if (synced()) look_at_zones(stop);
  } while (common::sleep_unless_stopped(zones_->in_doubt() ? kLookAtDoubts : kLookAtZones, stop));
}

void Controller::look_at_zones(const std::stop_token& stop) {
  const std::set<std::string> changed = zones_->look(stop);
  if (changed.empty()) return;
  for (const kube::ObjectKey& key : prober_->deployments_in(changed)) queue_.add(key, Priority::kUrgent);
  enqueue_all();
}

std::map<std::string, KubeletAnswers> Controller::kubelets(const std::set<std::string>& zones) const {
  std::map<std::string, KubeletAnswers> answers;
  for (const kube::ObjectKey& deployment : prober_->deployments_in(zones)) {
    for (const kube::ObjectPtr& pod : cache_->children(kube::kPod, deployment)) {
      const auto zone = pod->label(kZoneLabel);
      if (!zone || !zones.contains(*zone)) continue;
      const PodView view = pod_view(*pod, [](const std::string&) { return std::nullopt; });
      if (!view.doubt_answered || view.terminating()) continue;
      ++answers[*zone].asked;
      if (*view.doubt_answered) ++answers[*zone].answered;
    }
  }
  return answers;
}

bool Controller::is_doubted(const std::string& node) const {
  const kube::ObjectPtr object = informers_.back()->store().get({"", node});
  if (!object) return false;
  const ZoneHealths zones = zones_->health();
  const auto zone = zones.find(node_view(*object).zone);
  return zone != zones.end() && !zone->second.takes_traffic();
}

void Controller::stop_workers() {
  zone_watch_ = {};
  for (std::jthread& worker : workers_) worker.request_stop();
  queue_.shut_down();
  workers_.clear();
}

void Controller::stop() {
  stop_workers();
  for (const auto& informer : informers_) informer->stop();
  follower_->stop();
  prober_.reset();
  experts_.reset();
}

void Controller::work(std::stop_token stop) {
  for (const auto& informer : informers_) {
    while (!stop.stop_requested() && !informer->wait_synced(std::chrono::milliseconds(500))) {
    }
  }
  // Keys stay where they are in the queue until this process may write, so that edits overtake resyncs then, too.
  const auto lead = [&] {
    while (!options_.may_write()) {
      if (!common::sleep_unless_stopped(kLookForLeadership, stop)) return false;
    }
    follower_->end();
    return true;
  };
  while (lead()) {
    const std::optional<kube::ObjectKey> key = queue_.get(stop);
    if (!key) return;
    reconcile(*key);
    queue_.done(*key);
  }
}

// The one place where what ends a reconcile is caught: counted, logged, tried again after a while.
void Controller::reconcile(const kube::ObjectKey& key) {
  if (!options_.may_write()) return queue_.add(key, Priority::kLow);  // leadership was lost meanwhile
  const auto begin = std::chrono::steady_clock::now();
  if (options_.observer != nullptr) options_.observer->started();
  std::string_view result = "success";
  try {
    const Result outcome = reconciler_->reconcile(key);
    queue_.forget(key);
    if (outcome.again_after.count() > 0) {
      result = "requeue_after";
      queue_.add_after(key, outcome.again_after);
    } else {
      queue_.add_after(key, kResync, Priority::kLow);
    }
  } catch (const std::exception& error) {
    result = "error";
    common::log_warn("reconcile failed", {{"deployment", to_string(key)}, {"error", error.what()}});
    queue_.add_rate_limited(key);
  }
  if (options_.observer != nullptr) options_.observer->finished(result, std::chrono::steady_clock::now() - begin);
}

}  // namespace millrace::controller
