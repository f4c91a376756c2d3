#include "operator/plan/autoscale_capacity.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace millrace::controller {
namespace {

constexpr double kMemory = 900;        // seconds after which a sample has half its weight
constexpr double kEnough = 12;         // weight of samples before anything is concluded
constexpr double kVaried = 0.003;      // spread of the loads that were seen: one load says nothing of others
constexpr double kReach = 3.0;         // how far beyond the loads that were seen the line is believed
constexpr double kAlwaysBelieved = 8;  // sequences up to which it is believed after even the lightest load
constexpr double kSpread = 1.6;       // random arrivals: one group in twenty holds this many root(n) more than the mean
constexpr double kBreachShare = 0.9;  // of a rate that missed a target, what is taken to hold

}  // namespace

void CapacityModel::Line::add(double at, double value) {
  n += 1;
  x += at;
  xx += at * at;
  y += value;
  xy += at * value;
}

void CapacityModel::Line::fade(double factor) {
  for (double* sum : {&n, &x, &xx, &y, &xy}) *sum *= factor;
}

double CapacityModel::Line::spread() const {
  return xx > 0 ? 1 - x * x / (n * xx) : 0;
}

double CapacityModel::Line::slope() const {
  return std::clamp((xy - x * y / n) / (xx - x * x / n), 0.0, x > 0 ? y / x : 0.0);
}

double CapacityModel::Line::base() const {
  return std::max(0.0, (y - slope() * x) / n);
}

void CapacityModel::fade(double seconds) {
  const double factor = std::exp2(-seconds / kMemory);
  mean_.fade(factor);
  p95_.fade(factor);
  for (double* sum : {&cache_use_, &cache_running_, &tokens_, &requests_}) *sum *= factor;
  most_running_ *= std::exp2(-seconds / (4 * kMemory));
  // What was once too much is tried again later: the limit rises as its memory fades.
  if (breach_rate_ > 0) breach_rate_ /= std::exp2(-seconds / (4 * kMemory));
  if (full_at_ > 0) full_at_ /= std::exp2(-seconds / (4 * kMemory));
}

void CapacityModel::observe(const CapacitySample& sample, double queue_target) {
  tokens_ += sample.tokens;
  requests_ += sample.requests;
  if (sample.running < 0.5) return;
  cache_use_ += sample.cache_use;
  cache_running_ += sample.running;
  most_running_ = std::max(most_running_, sample.running);
  if (sample.queue > queue_target) full_at_ = full_at_ > 0 ? 0.8 * full_at_ + 0.2 * sample.running : sample.running;
  if (sample.itl_mean <= 0) return;
  mean_.add(sample.running, sample.itl_mean);
  p95_.add(sample.running, sample.itl_p95);
}

void CapacityModel::breached(double requests_per_second, const AutoscalingTargets& targets) {
  double held = kBreachShare * requests_per_second;
  if (const auto learned = capacity(targets)) held = std::max(held, kBreachShare * learned->requests_per_second);
  if (held > 0) breach_rate_ = breach_rate_ > 0 ? std::min(breach_rate_, held) : held;
}

std::optional<ReplicaCapacity> CapacityModel::capacity(const AutoscalingTargets& targets) const {
  if (mean_.n < kEnough || mean_.spread() < kVaried || requests_ < kEnough || most_running_ <= 0) return std::nullopt;
  double sequences = std::max(kReach * most_running_, kAlwaysBelieved);
  if (cache_use_ > 0) sequences = std::min(sequences, targets.cache_use * cache_running_ / cache_use_);
  if (full_at_ > 0) sequences = std::min(sequences, full_at_);
  if (targets.inter_token_p95 && p95_.slope() > 0) {
    sequences = std::min(sequences, (*targets.inter_token_p95 - p95_.base()) / p95_.slope());
  }
  sequences = std::max(1.0, sequences - kSpread * std::sqrt(std::max(sequences, 0.0)));
  const double tokens_per_second = sequences / (mean_.base() + mean_.slope() * sequences);
  double rate = tokens_per_second * requests_ / std::max(tokens_, 1.0);
  if (breach_rate_ > 0) rate = std::min(rate, breach_rate_);
  return ReplicaCapacity{sequences, rate};
}

}  // namespace millrace::controller
