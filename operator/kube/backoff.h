// Exponential back-off of list and watch (client-go's reflector): 800 ms to 30 s, factor 2, jitter, forgotten after two
// quiet minutes. Pure: time is passed in.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>

namespace millrace::controller::kube {

struct BackoffOptions {
  std::chrono::milliseconds first{800};
  std::chrono::milliseconds limit{30'000};
  double factor = 2.0;
  double jitter = 1.0;  // a delay d becomes uniform in [d, d * (1 + jitter)]
  std::chrono::milliseconds reset_after{120'000};
};

class Backoff {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit Backoff(std::uint32_t seed, BackoffOptions options = {}) : options_(options), random_(seed) {}

  // The delay before the next attempt after a failure at `now`.
  std::chrono::milliseconds next(TimePoint now);

 private:
  BackoffOptions options_;
  std::mt19937 random_;
  double base_ms_ = 0;  // 0: no failure remembered
  std::optional<TimePoint> last_failure_;
};

}  // namespace millrace::controller::kube
