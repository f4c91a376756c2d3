// The worker threads of one back end. A parallel region hands out task numbers from one counter, and ends when its
// tasks have ended: a core that is late or busy elsewhere delays only the tasks it has taken, not the region. Workers
// spin for some microseconds after a region, because the next one of the same step is that near, and then sleep in the
// kernel: an idle engine costs nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace millrace::engine::cpu {

class ThreadPool {
 public:
  explicit ThreadPool(std::int32_t threads);  // the caller of run() is one of them
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::int32_t threads() const { return static_cast<std::int32_t>(workers_.size()) + 1; }

  // Calls body(task, worker) once for each task in [0, tasks), worker in [0, threads()); returns when all are done.
  // One region at a time; at most 2^31 tasks; body must not throw.
  template <typename Body>
  void run(std::int64_t tasks, const Body& body) {
    run_erased(
        tasks,
        [](const void* b, std::int64_t task, std::int32_t worker) { (*static_cast<const Body*>(b))(task, worker); },
        &body);
  }

 private:
  using Call = void (*)(const void* body, std::int64_t task, std::int32_t worker);

  void run_erased(std::int64_t tasks, Call call, const void* body);
  void drain(std::int32_t worker);
  void work(std::int32_t worker);

  // Written by run_erased before it opens a region, read only by threads that have taken a task of it: while a task is
  // taken and not finished the region cannot end.
  Call call_ = nullptr;
  const void* body_ = nullptr;

  alignas(64) std::atomic<std::uint64_t> open_{0};  // number of tasks << 32 | next task
  alignas(64) std::atomic<std::uint32_t> finished_{0};
  alignas(64) std::atomic<std::uint32_t> epoch_{0};  // counts regions; what sleeping workers wait for
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

}  // namespace millrace::engine::cpu
