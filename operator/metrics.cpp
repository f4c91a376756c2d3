#include "operator/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <set>

#include "common/metrics.h"
#include "operator/api/labels.h"
#include "operator/plan/cost.h"

namespace millrace::controller {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using Buckets = prometheus::Histogram::BucketBoundaries;

constexpr const char* kController = "modeldeployment";

// controller-runtime's and client-go's boundaries.
const Buckets& reconcile_buckets() {
  static const Buckets kBuckets{0.005, 0.01, 0.025, 0.05, 0.1,  0.15, 0.2,  0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6,
                                0.7,   0.8,  0.9,   1.0,  1.25, 1.5,  1.75, 2.0,  2.5, 3.0,  3.5, 4.0,  4.5, 5,
                                6,     7,    8,     9,    10,   15,   20,   25,   30,  40,   50,  60};
  return kBuckets;
}
const Buckets& queue_buckets() {
  static const Buckets kBuckets{1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100, 1000};
  return kBuckets;
}
const Buckets& request_buckets() {
  static const Buckets kBuckets{0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60};
  return kBuckets;
}

prometheus::Counter& counter(prometheus::Registry& registry, const char* name, const char* help, const char* label) {
  return BuildCounter().Name(name).Help(help).Register(registry).Add({{label, kController}});
}
prometheus::Gauge& gauge(prometheus::Registry& registry, const char* name, const char* help, const char* label) {
  return BuildGauge().Name(name).Help(help).Register(registry).Add({{label, kController}});
}
prometheus::Histogram& histogram(prometheus::Registry& registry, const char* name, const char* help, const char* label,
                                 const Buckets& buckets) {
  return BuildHistogram().Name(name).Help(help).Register(registry).Add({{label, kController}}, buckets);
}

// Grows whenever the server sends something: a list, an event, a bookmark, the end of a watch in good order.
std::uint64_t heard(const kube::InformerStats& stats) {
  return stats.lists + stats.events + (stats.last_error.empty() ? stats.watches : 0);
}

std::set<kube::ObjectKey> as_set(const std::vector<kube::ObjectKey>& keys) {
  return {keys.begin(), keys.end()};
}

}  // namespace

OperatorMetrics::OperatorMetrics(int workers, const std::string& version)
    : requests_(BuildCounter()
                    .Name("rest_client_requests_total")
                    .Help("Number of HTTP requests, by status code, method and host.")
                    .Register(registry_)),
      request_time_(BuildHistogram()
                        .Name("rest_client_request_duration_seconds")
                        .Help("Request latency in seconds, by verb and host.")
                        .Register(registry_)),
      reconciles_(BuildCounter()
                      .Name("controller_runtime_reconcile_total")
                      .Help("Total number of reconciliations per controller.")
                      .Register(registry_)),
      leader_(BuildGauge()
                  .Name("leader_election_master_status")
                  .Help("Whether this process is the leader of the lease.")
                  .Register(registry_)),
      reconcile_errors_(counter(registry_, "controller_runtime_reconcile_errors_total",
                                "Total number of reconciliation errors per controller.", "controller")),
      reconcile_time_(histogram(registry_, "controller_runtime_reconcile_time_seconds",
                                "Length of time per reconciliation per controller.", "controller",
                                reconcile_buckets())),
      active_workers_(gauge(registry_, "controller_runtime_active_workers",
                            "Number of currently used workers per controller.", "controller")),
      depth_(gauge(registry_, "workqueue_depth", "Current depth of the queue.", "name")),
      adds_(counter(registry_, "workqueue_adds_total", "Total number of adds handled by the queue.", "name")),
      retries_(counter(registry_, "workqueue_retries_total", "Total number of retries handled by the queue.", "name")),
      queue_time_(histogram(registry_, "workqueue_queue_duration_seconds",
                            "How long in seconds an item stays in the queue before being requested.", "name",
                            queue_buckets())),
      work_time_(histogram(registry_, "workqueue_work_duration_seconds",
                           "How long in seconds processing an item from the queue takes.", "name", queue_buckets())),
      unfinished_(gauge(registry_, "workqueue_unfinished_work_seconds",
                        "Seconds of work in progress that work_duration has not observed yet.", "name")),
      longest_(gauge(registry_, "workqueue_longest_running_processor_seconds",
                     "How long in seconds the longest running processor has been running.", "name")) {
  gauge(registry_, "controller_runtime_max_concurrent_reconciles",
        "Maximum number of concurrent reconciles per controller.", "controller")
      .Set(workers);
  BuildGauge()
      .Name("millrace_operator_build_info")
      .Help("1; the version of the operator.")
      .Register(registry_)
      .Add({{"version", version}})
      .Set(1);
}

void OperatorMetrics::request_done(std::string_view method, std::string_view host, int status,
                                   std::chrono::duration<double> time) {
  const std::string code = status == 0 ? "<error>" : std::to_string(status);
  requests_.Add({{"code", code}, {"method", std::string(method)}, {"host", std::string(host)}}).Increment();
  request_time_.Add({{"verb", std::string(method)}, {"host", std::string(host)}}, request_buckets())
      .Observe(time.count());
}

void OperatorMetrics::added() {
  adds_.Increment();
}

void OperatorMetrics::retried() {
  retries_.Increment();
}

void OperatorMetrics::started(std::chrono::duration<double> waited) {
  queue_time_.Observe(waited.count());
}

void OperatorMetrics::finished(std::chrono::duration<double> worked) {
  work_time_.Observe(worked.count());
}

void OperatorMetrics::started() {
  active_workers_.Increment();
}

void OperatorMetrics::finished(std::string_view result, std::chrono::duration<double> time) {
  active_workers_.Decrement();
  reconcile_time_.Observe(time.count());
  reconciles_.Add({{"controller", kController}, {"result", std::string(result)}}).Increment();
  if (result == "error") reconcile_errors_.Increment();
}

// Tokens are read off at each exposition: those that an agent generates between the last one and its end are lost.
void OperatorMetrics::read_usage_locked(const Controller& controller, FleetView& fleet) {
  std::set<std::string> pods;
  std::set<kube::ObjectKey> deployments;
  for (const auto& informer : controller.informers()) {
    if (informer->options().kind == kube::kModelDeployment) deployments.merge(as_set(informer->store().keys()));
  }
  const auto read = [&](const kube::Object& pod) {
    const kube::ObjectKey deployment{pod.ns(), pod.label(kDeploymentLabel).value_or("")};
    const auto evidence = controller.evidence(pod.uid());
    pods.insert(pod.uid());
    if (!evidence || !evidence->status.load || !deployments.contains(deployment)) return;
    const common::AgentLoad& load = *evidence->status.load;
    tokens_.read(deployment, pod.uid(), load.first_token.total() + load.inter_token.total());
  };
  for (const auto& informer : controller.informers()) {
    if (informer->options().kind == kube::kPod) informer->store().for_each(read);
  }
  tokens_.keep_only(pods, deployments);
  std::erase_if(cost_before_, [&](const auto& item) { return !deployments.contains(item.first); });
  fleet.each_deployment([&](const kube::Object& object) {
    const auto recorded = read_cost(object.at("/status/cost"));
    if (!recorded) return;
    const double cost = carried_on(*recorded, fleet.now).total.value_or(0);
    const double before = cost_before_.try_emplace(object.key(), cost).first->second;
    fleet.usage[object.key()] = {tokens_.total(object.key()), before};
  });
}

FleetView OperatorMetrics::fleet_of(const Controller& controller, bool leader) {
  FleetView fleet;
  fleet.now = std::chrono::system_clock::now();
  if (leader) fleet.zones = controller.zones();
  const auto now = std::chrono::steady_clock::now();
  std::vector<const kube::Store*> deployments;
  const std::lock_guard lock(mutex_);
  for (const auto& informer : controller.informers()) {
    const kube::InformerOptions& options = informer->options();
    if (leader && options.kind == kube::kModelDeployment) deployments.push_back(&informer->store());
    const kube::InformerStats stats = informer->stats();
    Heard& last = heard_.try_emplace(informer.get(), Heard{heard(stats), now}).first->second;
    if (last.count != heard(stats)) last = {heard(stats), now};
    fleet.watches.push_back(
        {std::string(options.kind.kind), options.ns, informer->synced(), now - last.at, stats.lists, stats.failures});
  }
  fleet.each_deployment = [deployments](const auto& show) {
    for (const kube::Store* store : deployments) store->for_each(show);
  };
  if (leader) read_usage_locked(controller, fleet);
  return fleet;
}

common::HttpResponse OperatorMetrics::render(const Controller& controller, bool leader, const std::string& lease) {
  refresh(controller.queue(), leader, lease);
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  for (prometheus::MetricFamily& family : fleet_metrics(fleet_of(controller, leader))) {
    families.push_back(std::move(family));
  }
  return common::metrics_response(families);
}

void OperatorMetrics::refresh(const kube::WorkQueue& queue, bool leader, const std::string& lease) {
  depth_.Set(static_cast<double>(queue.depth()));
  unfinished_.Set(queue.unfinished_work().count());
  longest_.Set(queue.longest_processor().count());
  leader_.Add({{"name", lease}}).Set(leader ? 1 : 0);
}

}  // namespace millrace::controller
