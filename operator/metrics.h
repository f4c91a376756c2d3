// The operator's metrics, under the names that dashboards for controllers already know.
#pragma once

#include <prometheus/registry.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/http.h"
#include "operator/fleet_metrics.h"
#include "operator/kube/client.h"
#include "operator/kube/work_queue.h"
#include "operator/reconcile/controller.h"
#include "operator/token_meter.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace millrace::controller {

class OperatorMetrics final : public kube::RequestObserver, public kube::QueueObserver, public ReconcileObserver {
 public:
  OperatorMetrics(int workers, const std::string& version);

  void request_done(std::string_view method, std::string_view host, int status,
                    std::chrono::duration<double> time) override;
  void added() override;
  void retried() override;
  void started(std::chrono::duration<double> waited) override;
  void finished(std::chrono::duration<double> worked) override;
  void started() override;
  void finished(std::string_view result, std::chrono::duration<double> time) override;

  // The exposition. What deployments and zones are like is told by the leader alone.
  common::HttpResponse render(const Controller& controller, bool leader, const std::string& lease);

 private:
  struct Heard {  // of a watch
    std::uint64_t count = 0;
    std::chrono::steady_clock::time_point at;  // of the exposition that found the count new
  };

  FleetView fleet_of(const Controller& controller, bool leader);
  void read_usage_locked(const Controller& controller, FleetView& fleet);
  void refresh(const kube::WorkQueue& queue, bool leader, const std::string& lease);

  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Histogram>& request_time_;
  prometheus::Family<prometheus::Counter>& reconciles_;
  prometheus::Family<prometheus::Gauge>& leader_;
  prometheus::Counter& reconcile_errors_;
  prometheus::Histogram& reconcile_time_;
  prometheus::Gauge& active_workers_;
  prometheus::Gauge& depth_;
  prometheus::Counter& adds_;
  prometheus::Counter& retries_;
  prometheus::Histogram& queue_time_;
  prometheus::Histogram& work_time_;
  prometheus::Gauge& unfinished_;
  prometheus::Gauge& longest_;
  std::mutex mutex_;
  std::map<const kube::Informer*, Heard> heard_;
  TokenMeter tokens_;
  std::map<kube::ObjectKey, double> cost_before_;  // when counting of tokens began
};

}  // namespace millrace::controller
