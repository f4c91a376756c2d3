#include "operator/kube/backoff.h"

#include <algorithm>

namespace millrace::controller::kube {

std::chrono::milliseconds Backoff::next(TimePoint now) {
  if (last_failure_ && now - *last_failure_ >= options_.reset_after) base_ms_ = 0;
  last_failure_ = now;
  const auto first = static_cast<double>(options_.first.count());
  const auto limit = static_cast<double>(options_.limit.count());
  base_ms_ = base_ms_ == 0 ? first : std::min(base_ms_ * options_.factor, limit);
  std::uniform_real_distribution<double> stretch(1.0, 1.0 + options_.jitter);
  return std::chrono::milliseconds(static_cast<std::int64_t>(base_ms_ * stretch(random_)));
}

}  // namespace millrace::controller::kube
