#include "cli/simulate_rules.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
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

// Of the groups that serve, as Prometheus would have it: means of gauges, quantiles of the last minute's increases.
struct Metrics {
  int serving = 0;
  double queue = 0;
  double use = 0;
  std::optional<double> first_token_p95;
  std::optional<double> inter_token_p95;
};

// Remembers a minute of scrapes.
class Scraper {
 public:
  Metrics scrape(const AutoscaleSignals& signals) {
    Metrics metrics;
    std::map<std::string, common::AgentLoad> loads;
    for (const GroupSignal& group : signals.groups) {
      if (group.life != GroupLife::kServing || !group.load) continue;
      ++metrics.serving;
      metrics.queue += static_cast<double>(group.load->queue);
      metrics.use += std::max(group.load->kv_usage, group.load->state_usage);
      loads[group.group] = *group.load;
    }
    if (metrics.serving > 0) {
      metrics.queue /= metrics.serving;
      metrics.use /= metrics.serving;
    }
    common::LatencyHistogram first_token;
    common::LatencyHistogram inter_token;
    for (const auto& [name, load] : loads) {
      const common::AgentLoad before = at_start(name);
      first_token.add(load.first_token.since(before.first_token).value_or(load.first_token));
      inter_token.add(load.inter_token.since(before.inter_token).value_or(load.inter_token));
    }
    metrics.first_token_p95 = first_token.quantile(0.95);
    metrics.inter_token_p95 = inter_token.quantile(0.95);
    scrapes_.push_back(std::move(loads));
    if (scrapes_.size() > kScrapesOfAMinute) scrapes_.pop_front();
    return metrics;
  }

 private:
  static constexpr std::size_t kScrapesOfAMinute = 4;

  common::AgentLoad at_start(const std::string& group) const {
    for (const auto& loads : scrapes_) {
      if (const auto found = loads.find(group); found != loads.end()) return found->second;
    }
    return {};
  }

  std::deque<std::map<std::string, common::AgentLoad>> scrapes_;
};

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
    const Metrics seen = std::exchange(scraped_, scraper_.scrape(signals));  // what the scrape before brought
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
  virtual std::int32_t wish(const Metrics& metrics, std::int32_t current) const = 0;

 private:
  AutoscalingSpec spec_;
  controller::ScalingHistory history_;
  Scraper scraper_;
  Metrics scraped_;
  std::optional<TimePoint> next_;
};

class QueueRule final : public HpaLoop {
 public:
  using HpaLoop::HpaLoop;
  std::string name() const override { return "queue-threshold"; }

 private:
  std::int32_t wish(const Metrics& metrics, std::int32_t current) const override {
    const double wanted = metrics.queue * metrics.serving / kQueueThreshold;
    if (metrics.serving == 0 || std::abs(wanted / current - 1) <= kHpaTolerance) return current;
    return static_cast<std::int32_t>(std::ceil(wanted));
  }
};

// What an HPA makes of a ratio of a metric to its target.
std::int32_t hpa_wish(double ratio, std::int32_t serving, std::int32_t current) {
  if (std::abs(ratio - 1) <= kHpaTolerance) return current;
  if (ratio > 1 && current > serving) {  // those that are not ready count as idle; it must still be a scale-up
    const double with_unready = ratio * serving / current;
    return with_unready <= 1 + kHpaTolerance ? current : static_cast<std::int32_t>(std::ceil(with_unready * current));
  }
  return static_cast<std::int32_t>(std::ceil(ratio * serving));
}

class HpaRule final : public HpaLoop {
 public:
  explicit HpaRule(const AutoscalingSpec& spec) : HpaLoop(spec), targets_(spec.targets) {}
  std::string name() const override { return "HPA-style"; }

 private:
  std::int32_t wish(const Metrics& metrics, std::int32_t current) const override {
    if (metrics.serving == 0) return current;
    double ratio = std::max(metrics.use / targets_.cache_use, metrics.queue / targets_.queue_per_replica);
    if (metrics.first_token_p95 && targets_.first_token_p95) {
      ratio = std::max(ratio, *metrics.first_token_p95 / *targets_.first_token_p95);
    }
    if (metrics.inter_token_p95 && targets_.inter_token_p95) {
      ratio = std::max(ratio, *metrics.inter_token_p95 / *targets_.inter_token_p95);
    }
    return hpa_wish(ratio, metrics.serving, current);
  }

  const controller::AutoscalingTargets targets_;
};

class CacheUseRule final : public HpaLoop {
 public:
  CacheUseRule(const AutoscalingSpec& spec, double use) : HpaLoop(spec), use_(use) {}
  std::string name() const override { return "HPA on cache use " + std::to_string(std::lround(use_ * 100)) + " %"; }

 private:
  std::int32_t wish(const Metrics& metrics, std::int32_t current) const override {
    if (metrics.serving == 0) return current;
    return hpa_wish(std::max(metrics.use / use_, metrics.queue / kQueueThreshold), metrics.serving, current);
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
std::unique_ptr<ScalingRule> hpa_rule(const AutoscalingSpec& spec) {
  return std::make_unique<HpaRule>(spec);
}
std::unique_ptr<ScalingRule> cache_use_rule(const AutoscalingSpec& spec, double use) {
  return std::make_unique<CacheUseRule>(spec, use);
}

}  // namespace millrace::cli
