// The two passes over a row of logits that the sampler needs.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/backend/cpu/plain.h"

namespace millrace::engine::cpu::plain {

LogitScan scan_logits(const float* logits, std::int64_t count) {
  LogitScan scan{-std::numeric_limits<float>::infinity(), true};
  for (std::int64_t i = 0; i < count; ++i) {
    scan.finite = scan.finite && std::isfinite(logits[i]);
    if (logits[i] > scan.largest) scan.largest = logits[i];
  }
  return scan;
}

double exp_logits(const float* logits, std::int64_t count, float largest, float scale, float* weights) {
  double total = 0.0;
  for (std::int64_t i = 0; i < count; ++i) total += weights[i] = std::exp((logits[i] - largest) * scale);
  return total;
}

}  // namespace millrace::engine::cpu::plain
