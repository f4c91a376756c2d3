#include "operator/plan/autoscale_limits.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace millrace::controller {
namespace {

using std::chrono::seconds;

// Replicas that were added (sign 1) or taken away (sign -1) in the last `period`.
std::int32_t moved(const ScalingHistory& history, TimePoint now, seconds period, int sign) {
  std::int32_t sum = 0;
  for (const ScalingHistory::Change& change : history.changes) {
    if (now - change.at < period && change.by * sign > 0) sum += change.by * sign;
  }
  return sum;
}

// Where the policy lets the count go to, counted from where it was when the period began.
std::int32_t bound_of(const ScalingPolicy& policy, const ScalingHistory& history, std::int32_t current, TimePoint now,
                      int sign) {
  const std::int32_t start = current - sign * moved(history, now, seconds(policy.period_seconds), sign);
  if (policy.type == ScalingPolicy::Type::kPods) return start + sign * policy.value;
  const double bound = start * (1.0 + sign * policy.value / 100.0);
  return static_cast<std::int32_t>(sign > 0 ? std::ceil(bound - 1e-9) : std::floor(bound + 1e-9));
}

}  // namespace

void ScalingHistory::wished(TimePoint at, std::int32_t replicas) {
  wishes.push_back({at, replicas});
}

void ScalingHistory::changed(TimePoint at, std::int32_t by) {
  changes.push_back({at, by});
}

void ScalingHistory::forget_before(TimePoint time) {
  while (!wishes.empty() && wishes.front().at < time) wishes.pop_front();
  while (!changes.empty() && changes.front().at < time) changes.pop_front();
}

seconds longest_look_back(const AutoscalingSpec& spec) {
  std::int32_t longest = 1;
  for (const ScalingRules* rules : {&spec.scale_up, &spec.scale_down}) {
    longest = std::max(longest, rules->window_seconds);
    for (const ScalingPolicy& policy : rules->policies) longest = std::max(longest, policy.period_seconds);
  }
  return seconds(longest);
}

std::int32_t stabilised(const AutoscalingSpec& spec, const ScalingHistory& history, std::int32_t current,
                        TimePoint now) {
  std::int32_t least = std::numeric_limits<std::int32_t>::max();
  std::int32_t most = 0;
  for (auto wish = history.wishes.rbegin(); wish != history.wishes.rend(); ++wish) {
    const bool newest = wish == history.wishes.rbegin();
    const auto age = now - wish->at;
    if (newest || age < seconds(spec.scale_up.window_seconds)) least = std::min(least, wish->replicas);
    if (newest || age < seconds(spec.scale_down.window_seconds)) most = std::max(most, wish->replicas);
  }
  if (history.wishes.empty()) return current;
  if (current < least) return least;
  return std::min(current, most);
}

std::int32_t capped(const AutoscalingSpec& spec, const ScalingHistory& history, std::int32_t current,
                    std::int32_t wanted, TimePoint now) {
  if (wanted == current) return current;
  const int sign = wanted > current ? 1 : -1;
  const ScalingRules& rules = sign > 0 ? spec.scale_up : spec.scale_down;
  if (rules.select == ScalingRules::Select::kDisabled) return current;
  if (rules.policies.empty()) return wanted;
  // In the direction of the move: kMax takes the policy that allows most change.
  std::int32_t furthest = bound_of(rules.policies.front(), history, current, now, sign);
  for (const ScalingPolicy& policy : rules.policies) {
    const std::int32_t bound = bound_of(policy, history, current, now, sign);
    const bool further = (bound - furthest) * sign > 0;
    if (further == (rules.select == ScalingRules::Select::kMax)) furthest = bound;
  }
  if (sign > 0) return std::max(current, std::min(wanted, furthest));
  return std::min(current, std::max(wanted, furthest));
}

}  // namespace millrace::controller
