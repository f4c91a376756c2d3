// Waiting with stop tokens.
#pragma once

#include <chrono>
#include <functional>
#include <stop_token>

namespace millrace::common {

// Sleeps for `time`, or until the stop is asked for; false then.
bool sleep_unless_stopped(std::chrono::nanoseconds time, const std::stop_token& stop);

// Triggers when either of two tokens does.
class EitherStop {
 public:
  EitherStop(const std::stop_token& a, const std::stop_token& b)
      : on_a_(a, [this] { source_.request_stop(); }), on_b_(b, [this] { source_.request_stop(); }) {}

  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::stop_callback<std::function<void()>> on_a_;
  std::stop_callback<std::function<void()>> on_b_;
};

}  // namespace millrace::common
