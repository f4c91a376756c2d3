#include "engine/runtime/expert_load_window.h"

#include <algorithm>
#include <functional>

namespace millrace::engine {

ExpertLoadWindow::ExpertLoadWindow(std::int32_t num_layers, std::int32_t num_experts, std::size_t max_buckets)
    : max_buckets_(max_buckets) {
  sum_.num_layers = num_layers;
  sum_.num_experts = num_experts;
  sum_.tokens.assign(static_cast<std::size_t>(num_layers) * static_cast<std::size_t>(num_experts), 0);
  sum_.total_tokens = sum_.tokens;
}

void ExpertLoadWindow::add(std::int64_t steps, std::vector<std::int64_t> tokens) {
  const auto combine = [this](const std::vector<std::int64_t>& other, auto operation) {
    std::transform(sum_.tokens.begin(), sum_.tokens.end(), other.begin(), sum_.tokens.begin(), operation);
  };
  combine(tokens, std::plus<>());
  std::transform(tokens.begin(), tokens.end(), sum_.total_tokens.begin(), sum_.total_tokens.begin(), std::plus<>());
  sum_.steps += steps;
  sum_.total_steps += steps;
  buckets_.push_back({steps, std::move(tokens)});
  if (buckets_.size() <= max_buckets_) return;
  combine(buckets_.front().tokens, std::minus<>());
  sum_.steps -= buckets_.front().steps;
  buckets_.pop_front();
}

}  // namespace millrace::engine
