#include "common/worker_pool.h"

#include <exception>
#include <limits>

#include "common/log.h"

namespace millrace::common {

WorkerPool::WorkerPool(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void WorkerPool::post(Job job) {
  try_post(std::move(job), std::numeric_limits<std::size_t>::max());
}

bool WorkerPool::try_post(Job job, std::size_t limit) {
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.size() >= limit) return false;
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
  return true;
}

void WorkerPool::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    {
      const Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      try {
        job();
      } catch (const std::exception& error) {
        log_error("worker job failed", {{"error", error.what()}});
      }
    }
    lock.lock();
  }
}

}  // namespace millrace::common
