#include "operator/plan/experts_cycle.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>

namespace millrace::controller {
namespace {

using common::ExpertLoadReport;
using common::ExpertMovePhase;
using common::ExpertPlacementMessage;

constexpr std::size_t kSamples = 6;         // in the sliding window, one for each interval
constexpr double kTokensPerExpert = 16;     // in every layer, on average: fewer are noise
constexpr double kTolerance = 0.02;         // see ExpertPlanInput
constexpr int kRestIntervals = 2;           // after a failure
constexpr int kRevertedRestIntervals = 10;  // after a move that did not help
constexpr int kSilentIntervals = 2;

std::string ratio(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3f", value);
  return text.data();
}

// Tokens since an earlier report.
std::vector<std::vector<double>> since(const ExpertLoadReport& earlier, const ExpertLoadReport& now) {
  std::vector<std::vector<double>> table;
  for (std::size_t layer = 0; layer < now.tokens.size(); ++layer) {
    auto& row = table.emplace_back();
    for (std::size_t expert = 0; expert < now.tokens[layer].size(); ++expert) {
      row.push_back(static_cast<double>(now.tokens[layer][expert] - earlier.tokens[layer][expert]));
    }
  }
  return table;
}

bool enough(const std::vector<std::vector<double>>& table) {
  return !table.empty() && std::all_of(table.begin(), table.end(), [](const std::vector<double>& row) {
    double tokens = 0;
    for (const double value : row) tokens += value;
    return tokens >= kTokensPerExpert * static_cast<double>(row.size());
  });
}

// The counts belong to the same start of the group, and cover the same table.
bool continues(const ExpertLoadReport& earlier, const ExpertLoadReport& now) {
  return earlier.generation == now.generation && earlier.steps <= now.steps &&
         std::equal(earlier.tokens.begin(), earlier.tokens.end(), now.tokens.begin(), now.tokens.end(),
                    [](const auto& a, const auto& b) { return a.size() == b.size(); });
}

}  // namespace

std::string_view to_string(ExpertVerdict verdict) {
  constexpr std::array<std::string_view, 7> kNames{"Balanced",   "NoTraffic",   "Rebalancing",     "Reverted",
                                                   "MoveFailed", "PlanRefused", "RebalanceStalled"};
  return kNames[static_cast<std::size_t>(verdict)];
}

ExpertCycle::ExpertCycle(ExpertPolicy policy, std::vector<std::int32_t> node_of_rank, TimePoint now)
    : policy_(policy), heard_at_(now), sampled_at_(now), not_before_(now) {
  shape_.node_of_rank = std::move(node_of_rank);
}

std::optional<ExpertPlacementMessage> ExpertCycle::heard(const ExpertReading& reading, TimePoint now) {
  heard_at_ = now;
  status_.placement_number = reading.placement.number;
  read_shape(reading);
  if (!counting_ || !continues(counted_, reading.load)) {
    // The group has started anew. Loads do not depend on where experts are: the window stays good.
    if (counting_ && phase_ != Phase::kWatching) {
      rest(ExpertVerdict::kMoveFailed, "the group started anew while experts moved; its first placement serves", now);
    }
    if (!counting_ || counted_.tokens.size() != reading.load.tokens.size()) samples_.clear();
    counted_ = reading.load;
    counting_ = true;
    sampled_at_ = now;
    return std::nullopt;
  }
  take_sample(reading.load, now);
  if (phase_ == Phase::kMoving) follow_move(reading, now);
  if (phase_ == Phase::kProving) return prove(reading, now);
  return phase_ == Phase::kWatching ? plan(reading, now) : std::nullopt;
}

void ExpertCycle::refused(const std::string& why, TimePoint now) {
  rest(ExpertVerdict::kMoveFailed, "the agent did not take placement " + std::to_string(target_.number) + ": " + why,
       now + kRestIntervals * policy_.interval);
}

ExpertGroupStatus ExpertCycle::status(TimePoint now) const {
  ExpertGroupStatus status = status_;
  status.verdict = verdict_;
  status.message = message_;
  std::chrono::milliseconds moving_limit = kSilentIntervals * policy_.interval;
  if (policy_.max_bytes_per_second > 0) {
    moving_limit += std::chrono::seconds(result_.bytes / policy_.max_bytes_per_second);
  }
  if (now - heard_at_ > kSilentIntervals * policy_.interval) {
    status.verdict = ExpertVerdict::kStalled;
    status.message = "the agent has not told its expert loads for more than two intervals of " +
                     std::to_string(policy_.interval.count() / 1000) + " s; the placement stays as it is";
  } else if (phase_ == Phase::kMoving && now - sent_at_ > moving_limit) {
    status.verdict = ExpertVerdict::kStalled;
    status.message = "placement " + std::to_string(target_.number) +
                     " is being prepared for longer than its bytes and two intervals account for; the old one serves";
  }
  return status;
}

void ExpertCycle::read_shape(const ExpertReading& reading) {
  shape_.experts = reading.load.tokens.empty() ? 0 : static_cast<std::int32_t>(reading.load.tokens[0].size());
  shape_.slots_per_rank = reading.placement.slots_per_rank;
  const std::size_t slots = reading.placement.slots.empty() ? 0 : reading.placement.slots[0].size();
  shape_.ranks = shape_.slots_per_rank == 0 ? 0 : static_cast<std::int32_t>(slots) / shape_.slots_per_rank;
  if (static_cast<std::int32_t>(shape_.node_of_rank.size()) != shape_.ranks) shape_.node_of_rank.clear();
}

void ExpertCycle::take_sample(const ExpertLoadReport& load, TimePoint now) {
  if (now - sampled_at_ < policy_.interval) return;
  samples_.push_back(since(counted_, load));
  if (samples_.size() > kSamples) samples_.pop_front();
  counted_ = load;
  sampled_at_ = now;
}

ExpertCycle::Table ExpertCycle::window() const {
  Table sum;
  for (const Table& sample : samples_) {
    if (sum.empty()) {
      sum = sample;
      continue;
    }
    for (std::size_t layer = 0; layer < sum.size(); ++layer) {
      std::transform(sum[layer].begin(), sum[layer].end(), sample[layer].begin(), sum[layer].begin(), std::plus<>());
    }
  }
  return sum;
}

void ExpertCycle::follow_move(const ExpertReading& reading, TimePoint now) {
  const std::string name = "placement " + std::to_string(target_.number);
  const common::ExpertMoveReport& move = reading.placement.move;
  if (reading.placement.number == target_.number) {
    status_.bytes_moved += result_.bytes;
    if (reverting_) {
      const std::string message = "the last move did not make the busiest ranks less busy (" +
                                  ratio(result_.all.before) + " before, " + ratio(result_.all.after) +
                                  " measured) and was taken back";
      return rest(ExpertVerdict::kReverted, message, now + kRevertedRestIntervals * policy_.interval);
    }
    phase_ = Phase::kProving;
    proof_ = reading.load;
    sent_at_ = now;
    message_ = name + " is in force; its effect is being measured";
  } else if (move.number == target_.number && move.phase == ExpertMovePhase::kFailed) {
    rest(ExpertVerdict::kMoveFailed, name + ": " + move.message, now + kRestIntervals * policy_.interval);
  } else if (move.number != target_.number && now - sent_at_ > policy_.interval) {
    rest(ExpertVerdict::kMoveFailed, "the agent no longer knows of " + name + "; the old placement serves",
         now + kRestIntervals * policy_.interval);
  }
}

// On the same tokens, all of them routed after the switch: what the ranks had to do, and what they would have had to.
std::optional<ExpertPlacementMessage> ExpertCycle::prove(const ExpertReading& reading, TimePoint now) {
  if (now - sent_at_ < policy_.interval) return std::nullopt;
  const Table tokens = since(proof_, reading.load);
  if (!enough(tokens)) return std::nullopt;
  const auto layer = static_cast<std::size_t>(result_.worst_layer);
  result_.all = {expert_imbalance(shape_, tokens, before_), expert_imbalance(shape_, tokens, reading.placement.slots)};
  result_.worst = {expert_imbalance(shape_, tokens[layer], before_[layer]),
                   expert_imbalance(shape_, tokens[layer], reading.placement.slots[layer])};
  result_.at = now;
  if (result_.all.after >= result_.all.before) {
    reverting_ = true;
    ++status_.reverted;
    return send(before_, now);
  }
  status_.last = result_;
  rest(ExpertVerdict::kBalanced,
       "placement " + std::to_string(target_.number) + " brought the imbalance from " + ratio(result_.all.before) +
           " to " + ratio(result_.all.after),
       now);
  return std::nullopt;
}

std::optional<ExpertPlacementMessage> ExpertCycle::plan(const ExpertReading& reading, TimePoint now) {
  if (now < not_before_ || now != sampled_at_) return std::nullopt;  // once for every sample
  ExpertPlanInput input{shape_, reading.load.expert_bytes, window(), reading.placement.slots, kTolerance};
  if (!enough(input.loads)) return std::nullopt;
  const ExpertPlan plan = plan_experts(input);
  if (!plan.ok()) {
    rest(ExpertVerdict::kPlanRefused, plan.refused, now);
    return std::nullopt;
  }
  if (plan.fetches.empty() || plan.improvement() < policy_.min_improvement) {
    if (verdict_ != ExpertVerdict::kBalanced) {
      rest(ExpertVerdict::kBalanced, "no move saves enough: the imbalance is " + ratio(plan.all.before), now);
    }
    return std::nullopt;
  }
  const auto worst = static_cast<std::size_t>(plan.worst_layer);
  result_ = {plan.all, plan.layers[worst], plan.worst_layer, plan.bytes, now};
  before_ = reading.placement.slots;
  reverting_ = false;
  return send(plan.placement, now);
}

ExpertPlacementMessage ExpertCycle::send(std::vector<ExpertRow> rows, TimePoint now) {
  target_.number = std::max(status_.placement_number, target_.number) + 1;
  target_.slots_per_rank = shape_.slots_per_rank;
  target_.slots = std::move(rows);
  target_.max_bytes_per_second = policy_.max_bytes_per_second;
  phase_ = Phase::kMoving;
  sent_at_ = now;
  verdict_ = ExpertVerdict::kRebalancing;
  message_ = "placement " + std::to_string(target_.number) + " is being prepared; the old one serves meanwhile";
  return target_;
}

void ExpertCycle::rest(ExpertVerdict verdict, std::string message, TimePoint until) {
  phase_ = Phase::kWatching;
  verdict_ = verdict;
  message_ = std::move(message);
  not_before_ = until;
}

}  // namespace millrace::controller
