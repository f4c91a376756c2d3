// The rules that are compared: the planner that the operator runs, and two that people run today.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "operator/plan/autoscale.h"

namespace millrace::cli {

class ScalingRule {
 public:
  virtual ~ScalingRule() = default;
  virtual std::string name() const = 0;
  // Called once a second with what the agents say; answers the number of replicas from now on.
  virtual std::int32_t decide(const controller::AutoscaleSignals& signals, controller::TimePoint now) = 0;
};

// plan_autoscale() with its history.
std::unique_ptr<ScalingRule> millrace_rule(const controller::AutoscalingSpec& spec);

// As KEDA scales on a sum of waiting requests: ceil(sum / 5), through a HorizontalPodAutoscaler with its defaults.
std::unique_ptr<ScalingRule> queue_rule(const controller::AutoscalingSpec& spec);

// As a HorizontalPodAutoscaler with its defaults and the deployment's own targets as its metrics: every 15 s, from
// metrics of the last scrape (15 s), the greatest ratio of a metric to its target; tolerance 10 %; scale-up at most by
// 4 or 100 % in 15 s, scale-down to the greatest wish of 300 s. Replicas that are not ready count as the HPA counts
// them: as idle when scaling up.
std::unique_ptr<ScalingRule> hpa_rule(const controller::AutoscalingSpec& spec);

// The same on two metrics that people choose by hand: use of the fuller cache over `use`, 5 requests waiting.
std::unique_ptr<ScalingRule> cache_use_rule(const controller::AutoscalingSpec& spec, double use);

}  // namespace millrace::cli
