// Feeds plan_autoscale() second by second with groups that do what the test says.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "operator/plan/autoscale.h"

namespace millrace::controller::testing {

// One group's behaviour per second.
struct Behaviour {
  GroupLife life = GroupLife::kServing;
  double arrivals = 0;  // per second
  std::int64_t running = 0;
  std::int64_t queue = 0;
  double cache_use = 0;
  double first_token = 0.1;  // seconds
  double inter_token = 0.02;
  std::int64_t tokens_per_second = 100;
  bool answers = true;
};

class AutoscaleDriver {
 public:
  AutoscalingSpec spec;
  std::int32_t replicas = 1;
  std::map<std::string, Behaviour> groups;
  std::chrono::seconds served_before{600};  // of groups that serve from the start

  AutoscaleDriver() {
    spec.min_replicas = 1;
    spec.max_replicas = 20;
  }

  AutoscaleDriver& with(int count, const Behaviour& behaviour) {
    groups.clear();
    for (int i = 0; i < count; ++i) groups["g" + std::to_string(i)] = behaviour;
    replicas = count;
    return *this;
  }
  void all(const std::function<void(Behaviour&)>& change) {
    for (auto& [name, behaviour] : groups) change(behaviour);
  }

  // The decision after so many seconds; what is decided is in force from then on.
  AutoscaleDecision run(int seconds) {
    for (int i = 0; i < seconds; ++i) step();
    return last;
  }

  // Until the number changes, at most so long. Seconds it took, or -1.
  int run_until_changed(int seconds) {
    const std::int32_t before = replicas;
    for (int i = 1; i <= seconds; ++i) {
      step();
      if (replicas != before) return i;
    }
    return -1;
  }

  AutoscaleDecision last;

 private:
  void step() {
    now_ += std::chrono::seconds(1);
    AutoscaleSignals signals;
    signals.replicas = replicas;
    for (const auto& [name, behaviour] : groups) signals.groups.push_back(signal_of(name, behaviour));
    AutoscaleOutcome outcome = plan_autoscale(spec, signals, std::move(history_), now_);
    history_ = std::move(outcome.history);
    last = outcome.decision;
    replicas = last.desired;
  }

  GroupSignal signal_of(const std::string& name, const Behaviour& behaviour) {
    Kept& kept = kept_[name];
    if (behaviour.life == GroupLife::kServing && !kept.serving_since) kept.serving_since = now_ - served_before;
    common::AgentLoad& load = kept.load;
    kept.owed += behaviour.arrivals;
    for (; kept.owed >= 1; kept.owed -= 1) {
      ++load.arrivals;
      load.first_token.observe(behaviour.first_token);
    }
    if (behaviour.running > 0) {
      load.inter_token.observe(behaviour.inter_token, static_cast<std::uint64_t>(behaviour.tokens_per_second));
    }
    load.running = behaviour.running;
    load.queue = behaviour.queue;
    load.kv_usage = behaviour.cache_use;
    GroupSignal signal;
    signal.group = name;
    signal.life = behaviour.life;
    if (kept.serving_since) {
      signal.serving_for = std::chrono::duration_cast<std::chrono::milliseconds>(now_ - *kept.serving_since);
    }
    if (behaviour.answers) kept.answered_at = now_;
    if (kept.answered_at) {
      if (behaviour.answers) kept.told = load;
      signal.load = kept.told;
      signal.age = std::chrono::duration_cast<std::chrono::milliseconds>(now_ - *kept.answered_at);
    }
    return signal;
  }

  struct Kept {
    common::AgentLoad load;
    common::AgentLoad told;
    double owed = 0;
    std::optional<TimePoint> serving_since;
    std::optional<TimePoint> answered_at;
  };

  TimePoint now_{std::chrono::hours(100)};
  AutoscaleHistory history_;
  std::map<std::string, Kept> kept_;
};

}  // namespace millrace::controller::testing
