#include "operator/plan/autoscale.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "operator/plan/autoscale_reading.h"

namespace millrace::controller {
namespace {

using std::chrono::seconds;

constexpr double kSurvivorShare = 0.95;  // of their capacity that survivors of a scale-down may be given
constexpr double kBacklogTime = 15;      // seconds in which requests that wait should be gone
constexpr double kMostAtOnce = 2.0;      // by a ratio of targets; capacity is not known, so look again after that
constexpr seconds kMissTime{30};         // a target must be missed this long before it is taken for lasting
constexpr double kEnoughRecord = 60;     // seconds of arrivals before anything is given up
constexpr double kRateWindow = 60;       // seconds of the mean rate
constexpr double kChance = 2.5;          // standard deviations of the mean rate that survivors must bear
constexpr double kProofOfFall = 4.0;     // standard errors

std::string text_of(const char* format, double a, double b) {
  char buffer[160];
  std::snprintf(buffer, sizeof buffer, format, a, b);
  return buffer;
}

struct Need {
  double replicas = 0;
  const char* reason = "Steady";
  std::string message;
};

class AutoscalePlanner {
 public:
  AutoscalePlanner(const AutoscalingSpec& spec, const AutoscaleSignals& signals, AutoscaleHistory& history,
                   TimePoint now)
      : spec_(spec), targets_(spec.targets), current_(signals.replicas), history_(history), now_(now) {
    if (history_.scaling.wishes.empty()) history_.scaling.wished(now, current_);  // nothing is given up at once
    reading_ = read_signals(spec, signals, history, now);
    decision_.inputs = reading_.inputs;
    decision_.desired = decision_.candidate = current_;
  }

  AutoscaleDecision decide() {
    if (in().serving == 0) {
      hold("NoServingGroups", in().cold > 0 ? "no group serves yet" : "no group serves");
    } else if (reading_.fresh == 0) {
      hold("NoMetrics", "no serving group told its load in the last 5 s");
    } else {
      propose();
      limit();
    }
    clamp();
    finish();
    return std::move(decision_);
  }

 private:
  const AutoscaleInputs& in() const { return reading_.inputs; }

  void hold(const char* reason, const char* message) {
    decision_.active = false;
    decision_.reason = reason;
    decision_.message = std::string(message) + ": the number of replicas is held";
  }

  void propose() {
    const Need need = greatest_need();
    if (need.replicas > current_) {
      decision_.candidate = static_cast<std::int32_t>(std::ceil(std::min(need.replicas, 1e6) - 1e-9));
      decision_.reason = need.reason;
      decision_.message = need.message;
      return;
    }
    std::int32_t fewer = current_;
    while (fewer > spec_.min_replicas && survivors_hold(fewer - 1)) --fewer;
    decision_.candidate = fewer;
    if (fewer == current_) return;
    decision_.reason = "LowLoad";
    decision_.message = text_of("%.0f replicas hold the targets with the load of %.0f", fewer, current_);
  }

  Need greatest_need() {
    Need most;
    const auto consider = [&](double replicas, const char* reason, std::string message) {
      if (replicas > most.replicas) most = {replicas, reason, std::move(message)};
    };
    // Groups that are silent keep what they have: they are taken for as loaded as a replica should be.
    const double known = reading_.fresh;
    if (in().capacity_per_replica) {
      const double backlog = std::max(0.0, reading_.queue - known * targets_.queue_per_replica);
      const double wanted = in().forecast_per_second + backlog / kBacklogTime;
      consider(
          in().silent + wanted / *in().capacity_per_replica, "Arrivals",
          text_of("%.2f requests/s are to be served and a replica takes %.2f", wanted, *in().capacity_per_replica));
    } else if (in().cache_use) {
      consider(
          in().silent + known * *in().cache_use / targets_.cache_use, "CacheUse",
          text_of("caches are %.0f %% full, the target is %.0f %%", 100 * *in().cache_use, 100 * targets_.cache_use));
    }
    for (const Need& miss : misses()) {
      consider(in().silent + known * std::min(miss.replicas, kMostAtOnce), miss.reason, miss.message);
    }
    return most;
  }

  // Targets that are missed, by how many times. With the capacity known the arrivals already say what is needed, and a
  // miss adds a replica only when it lasts although all are warm: then less is possible than was learned.
  std::vector<Need> misses() {
    std::vector<Need> found;
    const auto check = [&](const std::optional<double>& value, const std::optional<double>& target, const char* reason,
                           const char* format, double unit) {
      if (value && target && *value > *target) {
        found.push_back({*value / *target, reason, text_of(format, *value * unit, *target * unit)});
      }
    };
    check(in().queue_per_replica, targets_.queue_per_replica, "Queue",
          "%.1f sequences wait per replica, the target is %.1f", 1);
    check(in().first_token_p95, targets_.first_token_p95, "FirstToken",
          "p95 to the first token is %.0f ms, the target is %.0f ms", 1e3);
    check(in().inter_token_p95, targets_.inter_token_p95, "InterToken",
          "p95 between tokens is %.1f ms, the target is %.1f ms", 1e3);
    const bool lasting = !found.empty() && lasts();
    if (found.empty()) history_.missed_since.reset();
    if (lasting) {
      history_.capacity.breached(history_.arrivals.rate(kRateWindow) / reading_.warm, targets_);
      history_.missed_since = now_;  // the next replica needs proof of its own
    }
    if (!in().capacity_per_replica) return found;
    for (Need& miss : found) miss.replicas = lasting ? (current_ + 1.0) / reading_.fresh : 0;
    return found;
  }

  bool lasts() {
    // Until some time after the last replica was warm, latencies still speak of requests that waited before.
    if (!history_.settled_at || now_ - *history_.settled_at < kMissTime) {
      history_.missed_since.reset();
      return false;
    }
    if (!history_.missed_since) history_.missed_since = now_;
    return now_ - *history_.missed_since >= kMissTime;
  }

  // Whether `n` replicas would hold every target with the present load.
  bool survivors_hold(std::int32_t n) const {
    if (in().silent > 0 || in().invalid > 0 || reading_.warm == 0 || n < 1) return false;
    if (history_.arrivals.covered() < kEnoughRecord) return false;
    const auto above = [](const std::optional<double>& value, double factor, const std::optional<double>& target) {
      return value && target && *value * factor > *target;
    };
    if (above(in().first_token_p95, 1, targets_.first_token_p95)) return false;
    if (above(in().inter_token_p95, 1, targets_.inter_token_p95)) return false;
    const double more = static_cast<double>(in().serving) / n;  // N/(N-1) for the first to leave
    if (above(in().queue_per_replica, 2 * more, targets_.queue_per_replica)) return false;
    if (in().capacity_per_replica) {
      const double arrivals = std::max(in().forecast_per_second, history_.arrivals.rate(120));
      const double chance = kChance * std::sqrt(arrivals / kRateWindow);  // or the next busy minute would ask for more
      return arrivals + chance <= kSurvivorShare * n * *in().capacity_per_replica;
    }
    // Without the capacity: caches fill in proportion, latencies grow faster than the load.
    return !above(in().cache_use, more / kSurvivorShare, targets_.cache_use) &&
           !above(in().first_token_p95, more * more, targets_.first_token_p95) &&
           !above(in().inter_token_p95, more * more, targets_.inter_token_p95);
  }

  void limit() {
    history_.scaling.wished(now_, decision_.candidate);
    const std::int32_t stable = stabilised(spec_, history_.scaling, current_, now_);
    if (stable != decision_.candidate) decision_.held_by = "Window";
    const std::int32_t bounded = std::clamp(stable, spec_.min_replicas, spec_.max_replicas);
    decision_.desired = capped(spec_, history_.scaling, current_, bounded, now_);
    if (decision_.desired != bounded) decision_.held_by = "Policy";
    if (decision_.desired < current_ && !may_turn()) {
      decision_.desired = current_;
      decision_.held_by = "RecentScaleUp";
    }
    if (decision_.desired == current_ && decision_.candidate == current_) decision_.reason = "Steady";
  }

  bool is_soon_after(const std::optional<TimePoint>& time) const { return time && now_ - *time < kCalm; }

  // So that constant load never leads to and fro: soon after a scale-up, only a proven fall of the arrivals counts.
  // Load that comes back as soon as it fell would be given up for again and again: then nothing counts.
  bool may_turn() const {
    if (!is_soon_after(history_.scaled_up_at)) return true;
    if (is_soon_after(history_.regretted_at)) return false;
    const double before = history_.busiest_minute;
    const double after = history_.arrivals.rate(kRateWindow);
    const double error = std::sqrt((before + after) / kRateWindow);
    return before - after > kProofOfFall * error && after < 0.8 * before;
  }

  // Minimum and maximum hold whatever else is known.
  void clamp() {
    const std::int32_t bounded = std::clamp(decision_.desired, spec_.min_replicas, spec_.max_replicas);
    if (bounded != decision_.desired) {
      decision_.reason = bounded > decision_.desired ? "Minimum" : "Maximum";
      decision_.message = bounded > decision_.desired ? "fewer than spec.autoscaling.minReplicas were in force"
                                                      : "more than spec.autoscaling.maxReplicas were in force";
      decision_.desired = bounded;
    }
    if (decision_.candidate > spec_.max_replicas) decision_.held_by = "Maximum";
    if (decision_.candidate < spec_.min_replicas) decision_.held_by = "Minimum";
  }

  void finish() {
    const std::int32_t by = decision_.desired - current_;
    if (by != 0) history_.scaling.changed(now_, by);
    if (by < 0) history_.scaled_down_at = now_;
    if (by > 0) {
      if (is_soon_after(history_.scaled_down_at)) history_.regretted_at = now_;
      history_.scaled_up_at = now_;
      history_.busiest_minute = 0;
    }
    if (history_.arrivals.covered() >= kRateWindow / 2) {
      history_.busiest_minute = std::max(history_.busiest_minute, history_.arrivals.rate(kRateWindow));
    }
    history_.scaling.forget_before(now_ - longest_look_back(spec_));
    if (!spec_.cost_per_replica_hour) return;
    decision_.cost_per_hour = decision_.desired * *spec_.cost_per_replica_hour;
    decision_.cost_change_per_hour = by * *spec_.cost_per_replica_hour;
  }

  const AutoscalingSpec& spec_;
  const AutoscalingTargets& targets_;
  const std::int32_t current_;
  AutoscaleHistory& history_;
  const TimePoint now_;
  AutoscaleReading reading_;
  AutoscaleDecision decision_;
};

}  // namespace

AutoscaleOutcome plan_autoscale(const AutoscalingSpec& spec, const AutoscaleSignals& signals, AutoscaleHistory history,
                                TimePoint now) {
  AutoscaleOutcome outcome{{}, std::move(history)};
  if (const std::string fault = fault_of(spec); !fault.empty()) {
    outcome.decision.desired = outcome.decision.candidate = signals.replicas;
    outcome.decision.active = false;
    outcome.decision.reason = "InvalidSpec";
    outcome.decision.message = fault;
    return outcome;
  }
  outcome.decision = AutoscalePlanner(spec, signals, outcome.history, now).decide();
  return outcome;
}

std::int32_t effective_replicas(std::int32_t spec_replicas, const std::optional<AutoscalingSpec>& autoscaling,
                                std::optional<std::int32_t> decided, std::optional<std::int32_t> recorded) {
  if (!autoscaling || autoscaling->mode != AutoscalingSpec::Mode::kBuiltIn || spec_replicas == 0) return spec_replicas;
  const std::int32_t wanted = decided ? *decided : recorded.value_or(spec_replicas);
  return std::clamp(wanted, autoscaling->min_replicas, std::max(autoscaling->min_replicas, autoscaling->max_replicas));
}

}  // namespace millrace::controller
