#include "cli/simulate_rules.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "operator/plan/autoscale_limits.h"

namespace millrace::cli {
namespace {

using controller::AutoscaleSignals;
using controller::AutoscalingSpec;
using controller::GroupLife;
using controller::GroupSignal;
using controller::ScalingPolicy;
using controller::ScalingRules;
using controller::TimePoint;
using std::chrono::seconds;

constexpr seconds kSync{15};
constexpr double kQueueThreshold = 5;
constexpr double kHpaTolerance = 0.10;

class MillraceRule final : public ScalingRule {
 public:
  explicit MillraceRule(const AutoscalingSpec& spec) : spec_(spec) {}

  std::string name() const override { return "millrace"; }
  std::int32_t decide(const AutoscaleSignals& signals, TimePoint now) override {
    controller::AutoscaleOutcome outcome = plan_autoscale(spec_, signals, std::move(history_), now);
    history_ = std::move(outcome.history);
    return outcome.decision.desired;
  }

 private:
  const AutoscalingSpec spec_;
  controller::AutoscaleHistory history_;
};

// Means over the groups that serve.
struct Means {
  int serving = 0;
  double queue = 0;
  double use = 0;
};

Means means_of(const AutoscaleSignals& signals) {
  Means means;
  for (const GroupSignal& group : signals.groups) {
    if (group.life != GroupLife::kServing || !group.load) continue;
    ++means.serving;
    means.queue += static_cast<double>(group.load->queue);
    means.use += std::max(group.load->kv_usage, group.load->state_usage);
  }
  if (means.serving == 0) return means;
  means.queue /= means.serving;
  means.use /= means.serving;
  return means;
}

// What the two have in common with each other and with every HPA: when it looks, and how fast it goes.
class HpaLoop : public ScalingRule {
 public:
  explicit HpaLoop(const AutoscalingSpec& spec) : spec_(spec) {
    spec_.scale_up = {
        0, ScalingRules::Select::kMax, {{ScalingPolicy::Type::kPods, 4, 15}, {ScalingPolicy::Type::kPercent, 100, 15}}};
    spec_.scale_down = {300, ScalingRules::Select::kMax, {{ScalingPolicy::Type::kPercent, 100, 15}}};
  }

  std::int32_t decide(const AutoscaleSignals& signals, TimePoint now) final {
    if (next_ && now < *next_) return signals.replicas;
    next_ = now + kSync;
    const Means seen = std::exchange(scraped_, means_of(signals));  // what the scrape before brought
    const std::int32_t current = signals.replicas;
    history_.wished(now, wish(seen, current));
    history_.forget_before(now - longest_look_back(spec_));
    const std::int32_t stable = stabilised(spec_, history_, current, now);
    const std::int32_t bounded = std::clamp(stable, spec_.min_replicas, spec_.max_replicas);
    const std::int32_t replicas = capped(spec_, history_, current, bounded, now);
    if (replicas != current) history_.changed(now, replicas - current);
    return replicas;
  }

 protected:
  virtual std::int32_t wish(const Means& means, std::int32_t current) const = 0;

 private:
  AutoscalingSpec spec_;
  controller::ScalingHistory history_;
  Means scraped_;
  std::optional<TimePoint> next_;
};

class QueueRule final : public HpaLoop {
 public:
  using HpaLoop::HpaLoop;
  std::string name() const override { return "queue-threshold"; }

 private:
  std::int32_t wish(const Means& means, std::int32_t current) const override {
    const double wanted = means.queue * means.serving / kQueueThreshold;
    if (means.serving == 0 || std::abs(wanted / current - 1) <= kHpaTolerance) return current;
    return static_cast<std::int32_t>(std::ceil(wanted));
  }
};

class HpaRule final : public HpaLoop {
 public:
  HpaRule(const AutoscalingSpec& spec, double use) : HpaLoop(spec), use_(use) {}
  std::string name() const override { return "HPA-style"; }

 private:
  std::int32_t wish(const Means& means, std::int32_t current) const override {
    if (means.serving == 0) return current;
    const double ratio = std::max(means.use / use_, means.queue / kQueueThreshold);
    if (std::abs(ratio - 1) <= kHpaTolerance) return current;
    if (ratio > 1 && current > means.serving) {  // those that are not ready count as idle; it must still be a scale-up
      const double with_unready = ratio * means.serving / current;
      return with_unready <= 1 + kHpaTolerance ? current : static_cast<std::int32_t>(std::ceil(with_unready * current));
    }
    return static_cast<std::int32_t>(std::ceil(ratio * means.serving));
  }

  const double use_;
};

}  // namespace

std::unique_ptr<ScalingRule> millrace_rule(const AutoscalingSpec& spec) {
  return std::make_unique<MillraceRule>(spec);
}
std::unique_ptr<ScalingRule> queue_rule(const AutoscalingSpec& spec) {
  return std::make_unique<QueueRule>(spec);
}
std::unique_ptr<ScalingRule> hpa_rule(const AutoscalingSpec& spec, double use) {
  return std::make_unique<HpaRule>(spec, use);
}

}  // namespace millrace::cli
