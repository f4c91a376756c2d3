// A fixed number of threads and a queue of jobs.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace millrace::common {

// Any thread may post. Jobs must not throw; what they throw is logged and dropped.
class WorkerPool {
 public:
  using Job = std::function<void()>;

  explicit WorkerPool(int threads);
  ~WorkerPool();  // runs what is queued, then joins

  void post(Job job);
  // False, and the job is not taken, when `limit` jobs already wait.
  bool try_post(Job job, std::size_t limit);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace millrace::common
