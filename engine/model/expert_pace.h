// How fast a rank may read experts that move: a byte rate, so that steps keep the memory bandwidth and the disk, and a
// way to stop.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>

namespace millrace::engine {

// Used by the reading thread alone; the stop token's source by any thread.
class ExpertPace {
 public:
  // bytes_per_second 0: no limit. `before_read` may be empty and may throw.
  explicit ExpertPace(std::int64_t bytes_per_second = 0, std::stop_token stop = {},
                      std::function<void()> before_read = {});

  // Before something of this size is read: waits until the rate allows it. Throws kCancelled when told to stop.
  void take(std::int64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;

  const std::int64_t bytes_per_second_;
  const std::stop_token stop_;
  const std::function<void()> before_read_;
  Clock::time_point next_ = Clock::now();  // when the rate allows the next read
};

}  // namespace millrace::engine
