// Tokens per (layer, expert) over the most recent steps. Engine thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "engine/engine.h"

namespace millrace::engine {

class ExpertLoadWindow {
 public:
  ExpertLoadWindow(std::int32_t num_layers, std::int32_t num_experts, std::size_t max_buckets);

  // Adds the counts of `steps` steps, (layers * experts); forgets the oldest bucket when there are too many.
  void add(std::int64_t steps, std::vector<std::int64_t> tokens);
  const ExpertLoad& load() const { return sum_; }

 private:
  struct Bucket {
    std::int64_t steps;
    std::vector<std::int64_t> tokens;
  };
  std::size_t max_buckets_;
  std::deque<Bucket> buckets_;
  ExpertLoad sum_;
};

}  // namespace millrace::engine
