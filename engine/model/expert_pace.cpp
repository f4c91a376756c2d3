#include "engine/model/expert_pace.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "common/error.h"

namespace millrace::engine {

ExpertPace::ExpertPace(std::int64_t bytes_per_second, std::stop_token stop, std::function<void()> before_read)
    : bytes_per_second_(bytes_per_second), stop_(std::move(stop)), before_read_(std::move(before_read)) {}

void ExpertPace::take(std::int64_t bytes) {
  if (bytes_per_second_ > 0) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_until(lock, stop_, next_, [] { return false; });
    const std::chrono::duration<double> cost(static_cast<double>(bytes) / static_cast<double>(bytes_per_second_));
    next_ = std::max(next_, Clock::now()) + std::chrono::duration_cast<Clock::duration>(cost);
  }
  if (stop_.stop_requested()) throw common::Error(common::Code::kCancelled, "the move of experts was given up");
  if (before_read_) before_read_();
}

}  // namespace millrace::engine
