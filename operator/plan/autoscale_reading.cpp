#include "operator/plan/autoscale_reading.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace millrace::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kSampleTime{5};
constexpr double kUseSmoothing = 15;  // seconds
constexpr seconds kLatencyKept{60};
constexpr seconds kLatencyWindow{30};  // or all that is kept, when the window has too few samples
constexpr std::uint64_t kEnoughLatencies = 20;
constexpr double kLongestGap = 3;  // seconds; arrivals of a longer silence are spread over it

double seconds_of(TimePoint::duration time) {
  return std::chrono::duration<double>(time).count();
}

bool is_valid(const common::AgentLoad& load) {
  return std::isfinite(load.kv_usage) && load.kv_usage >= 0 && std::isfinite(load.state_usage) &&
         load.state_usage >= 0 && load.queue >= 0 && load.running >= 0;
}

class Reader {
 public:
  Reader(const AutoscalingSpec& spec, AutoscaleHistory& history, TimePoint now)
      : spec_(spec), history_(history), now_(now) {}

  AutoscaleReading read(const AutoscaleSignals& signals) {
    elapsed_ = history_.last_plan ? seconds_of(now_ - *history_.last_plan) : 0;
    history_.capacity.fade(elapsed_);
    latencies_.at = now_;
    for (const GroupSignal& signal : signals.groups) take(signal);
    if (reading_.fresh > 0) history_.arrivals.add(now_, elapsed_, arrivals_);
    keep_latencies();
    summarise();
    settle(signals);
    forget_gone(signals);
    history_.last_plan = now_;
    return std::move(reading_);
  }

 private:
  void take(const GroupSignal& signal) {
    const auto [entry, is_new] = history_.groups.try_emplace(signal.group);
    AutoscaleHistory::Group& group = entry->second;
    if (is_new) group.first_seen = now_;
    if (signal.life == GroupLife::kLeaving) return;
    if (signal.life == GroupLife::kCold) {
      ++reading_.inputs.cold;
    } else {
      ++reading_.inputs.serving;
      learn_start_up(group, signal);
    }
    const bool fresh = signal.load && signal.age <= kLoadLimit;
    if (!fresh) {
      if (signal.life == GroupLife::kServing) ++reading_.inputs.silent;
      return;
    }
    if (signal.life == GroupLife::kServing) count(group, signal);
    group.last = *signal.load;
    group.last_at = now_ - signal.age;
  }

  // Only of groups whose whole start was watched.
  void learn_start_up(AutoscaleHistory::Group& group, const GroupSignal& signal) {
    if (group.started) return;
    group.started = true;
    const double took = seconds_of(now_ - signal.serving_for - group.first_seen);
    if (took > 2) history_.start_up += 0.5 * (std::min(took, 900.0) - history_.start_up);
  }

  void count(AutoscaleHistory::Group& group, const GroupSignal& signal) {
    const common::AgentLoad& load = *signal.load;
    ++reading_.fresh;
    reading_.queue += static_cast<double>(std::max<std::int64_t>(load.queue, 0));
    const bool valid = is_valid(load);
    if (!valid) ++reading_.inputs.invalid;
    const bool warm = signal.serving_for >= kWarmUp;
    if (warm && valid) {
      ++reading_.warm;
      use_ += std::max(load.kv_usage, load.state_usage);
    }
    const TimePoint at = now_ - signal.age;
    if (!group.last_at || at <= *group.last_at + milliseconds(50)) return;  // the first answer, or the same again
    const auto first = load.first_token.since(group.last.first_token);
    const auto inter = load.inter_token.since(group.last.inter_token);
    if (!first || !inter || load.arrivals < group.last.arrivals) {  // the process began anew
      group.sample_from.reset();
      return;
    }
    const double gap = seconds_of(at - *group.last_at);
    const auto came = static_cast<double>(load.arrivals - group.last.arrivals);
    arrivals_ += gap <= kLongestGap ? came : came * elapsed_ / gap;
    if (!warm) return;
    latencies_.first_token.add(*first);
    latencies_.inter_token.add(*inter);
    if (valid) sample(group, load, at);
  }

  void sample(AutoscaleHistory::Group& group, const common::AgentLoad& load, TimePoint at) {
    if (!group.sample_from) {
      group.sample_from = at;
      group.sample_base = load;
      group.polls = 0;
      group.running = group.cache_use = group.queue = 0;
      return;
    }
    ++group.polls;
    group.running += static_cast<double>(load.running);
    group.queue += static_cast<double>(load.queue);
    group.cache_use += std::max(load.kv_usage, load.state_usage);
    if (at - *group.sample_from < kSampleTime) return;
    const auto first = load.first_token.since(group.sample_base.first_token);
    const auto inter = load.inter_token.since(group.sample_base.inter_token);
    group.sample_from.reset();
    if (!first || !inter) return;
    CapacitySample sample;
    sample.running = group.running / group.polls;
    sample.queue = group.queue / group.polls;
    sample.cache_use = group.cache_use / group.polls;
    sample.itl_mean = inter->mean().value_or(0);
    sample.itl_p95 = inter->quantile(0.95).value_or(0);
    sample.requests = static_cast<double>(first->total());
    sample.tokens = sample.requests + static_cast<double>(inter->total());
    history_.capacity.observe(sample, spec_.targets.queue_per_replica);
  }

  void keep_latencies() {
    if (latencies_.first_token.total() + latencies_.inter_token.total() > 0) history_.latencies.push_back(latencies_);
    while (!history_.latencies.empty() && now_ - history_.latencies.front().at > kLatencyKept) {
      history_.latencies.pop_front();
    }
  }

  template <typename Member>
  std::optional<double> p95(Member member) const {
    for (const seconds window : {kLatencyWindow, kLatencyKept}) {
      common::LatencyHistogram sum;
      for (const AutoscaleHistory::Latencies& entry : history_.latencies) {
        if (now_ - entry.at < window) sum.add(entry.*member);
      }
      if (sum.total() >= kEnoughLatencies) return sum.quantile(0.95);
    }
    return std::nullopt;
  }

  void summarise() {
    AutoscaleInputs& inputs = reading_.inputs;
    if (reading_.warm > 0) {
      const double use = use_ / reading_.warm;
      const double weight = std::min(1.0, elapsed_ / kUseSmoothing);
      history_.cache_use = history_.cache_use ? *history_.cache_use + weight * (use - *history_.cache_use) : use;
      inputs.cache_use = history_.cache_use;
    } else {
      history_.cache_use.reset();
    }
    if (reading_.fresh > 0) inputs.queue_per_replica = reading_.queue / reading_.fresh;
    inputs.first_token_p95 = p95(&AutoscaleHistory::Latencies::first_token);
    inputs.inter_token_p95 = p95(&AutoscaleHistory::Latencies::inter_token);
    inputs.arrivals_per_second = history_.arrivals.sustained();
    inputs.forecast_per_second = history_.arrivals.forecast(history_.start_up);
    if (const auto capacity = history_.capacity.capacity(spec_.targets)) {
      inputs.capacity_per_replica = capacity->requests_per_second;
    }
  }

  // Since when all replicas are there and warm.
  void settle(const AutoscaleSignals& signals) {
    const bool settled = reading_.warm == signals.replicas && reading_.inputs.cold == 0;
    if (!settled) {
      history_.settled_at.reset();
    } else if (!history_.settled_at) {
      history_.settled_at = now_;
    }
  }

  void forget_gone(const AutoscaleSignals& signals) {
    std::set<std::string> present;
    for (const GroupSignal& signal : signals.groups) present.insert(signal.group);
    std::erase_if(history_.groups, [&](const auto& item) { return !present.contains(item.first); });
  }

  const AutoscalingSpec& spec_;
  AutoscaleHistory& history_;
  const TimePoint now_;
  AutoscaleReading reading_;
  AutoscaleHistory::Latencies latencies_;
  double elapsed_ = 0;   // seconds since the last plan
  double arrivals_ = 0;  // since then
  double use_ = 0;       // sum over the warm groups
};

}  // namespace

AutoscaleReading read_signals(const AutoscalingSpec& spec, const AutoscaleSignals& signals, AutoscaleHistory& history,
                              TimePoint now) {
  return Reader(spec, history, now).read(signals);
}

}  // namespace millrace::controller
