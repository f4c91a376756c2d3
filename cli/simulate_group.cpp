#include "cli/simulate_group.h"

#include <algorithm>
#include <cmath>

namespace millrace::cli {
namespace {

constexpr double kRounding = 1e-9;

}  // namespace

void SimulatedGroup::arrive(const SimulatedRequest& request) {
  ++load_.arrivals;
  if (static_cast<double>(queue_.size() + prefill_.size()) > model_.queue) return;  // answered with 429
  queue_.push_back(request);
  admit();
}

void SimulatedGroup::admit() {
  while (!queue_.empty()) {
    const SimulatedRequest& next = queue_.front();
    const double kv = next.prompt_tokens + next.output_tokens;
    const auto sequences = static_cast<double>(prefill_.size() + running_.size());
    const bool alone = sequences == 0;
    if (!alone && (sequences + 1 > model_.slots || kv_used_ + kv > model_.kv_tokens)) return;
    kv_used_ += kv;
    prefill_.push_back({next, next.prompt_tokens});
    queue_.pop_front();
  }
}

double SimulatedGroup::step_seconds() const {
  double seconds = (model_.decode_base_ms + model_.decode_per_sequence_ms * static_cast<double>(running_.size())) / 1e3;
  if (!prefill_.empty()) seconds += model_.chunk_tokens / model_.prefill_tokens_per_second;
  return seconds;
}

void SimulatedGroup::advance(double to) {
  while (now_ < to) {
    if (prefill_.empty() && running_.empty()) {
      now_ = to;
      return;
    }
    const double step = step_seconds();
    double steps = (to - now_) / step;
    if (!prefill_.empty()) steps = std::min(steps, prefill_.front().remaining / model_.chunk_tokens);
    if (!running_.empty()) steps = std::min(steps, running_.top().finish - steps_);
    steps = std::max(steps, 0.0);
    now_ = std::min(to, now_ + steps * step);
    steps_ += steps;
    const double tokens = steps * static_cast<double>(running_.size());
    if (tokens > 0) {
      observer_.tokens(now_, step, tokens);
      unreported_ += tokens;
      load_.inter_token.observe(step, static_cast<std::uint64_t>(unreported_));
      unreported_ -= std::floor(unreported_);
    }
    if (!prefill_.empty()) {
      prefill_.front().remaining -= steps * model_.chunk_tokens;
      if (prefill_.front().remaining <= kRounding * model_.chunk_tokens) complete_prefill();
    }
    while (!running_.empty() && running_.top().finish <= steps_ + kRounding) {
      kv_used_ -= running_.top().kv_tokens;
      running_.pop();
    }
    admit();
  }
}

void SimulatedGroup::complete_prefill() {
  const SimulatedRequest request = prefill_.front().request;
  prefill_.pop_front();
  observer_.first_token(request.arrival, now_);
  load_.first_token.observe(now_ - request.arrival);
  running_.push({steps_ + std::max(request.output_tokens - 1, 0.0), request.prompt_tokens + request.output_tokens});
}

const common::AgentLoad& SimulatedGroup::load() {
  const auto begun = static_cast<std::int64_t>(std::min<std::size_t>(prefill_.size(), 1));
  load_.running = static_cast<std::int64_t>(running_.size()) + begun;
  load_.queue = static_cast<std::int64_t>(queue_.size() + prefill_.size()) - begun;
  load_.kv_usage = std::min(1.0, kv_used_ / model_.kv_tokens);
  load_.state_usage = static_cast<double>(prefill_.size() + running_.size()) / model_.slots;
  return load_;
}

}  // namespace millrace::cli
