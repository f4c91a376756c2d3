#include "engine/backend/cpu/thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace millrace::engine::cpu {
namespace {

constexpr int kSpins = 1000;  // some 50 us: longer than the gap between two regions of a step

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// Returns when `value` is no longer `old`.
template <typename T>
void wait_while(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(std::int32_t threads) {
  for (std::int32_t worker = 1; worker < threads; ++worker) {
    workers_.emplace_back([this, worker] { work(worker); });
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_release);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_erased(std::int64_t tasks, Call call, const void* body) {
  if (workers_.empty() || tasks <= 1) {
    for (std::int64_t task = 0; task < tasks; ++task) call(body, task, 0);
    return;
  }
  call_ = call;
  body_ = body;
  finished_.store(0, std::memory_order_relaxed);
  open_.store(static_cast<std::uint64_t>(tasks) << 32, std::memory_order_release);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  drain(0);
  const auto all = static_cast<std::uint32_t>(tasks);
  for (std::uint32_t done = finished_.load(std::memory_order_acquire); done != all;
       done = finished_.load(std::memory_order_acquire)) {
    wait_while(finished_, done);
  }
}

void ThreadPool::drain(std::int32_t worker) {
  std::uint64_t open = open_.load(std::memory_order_acquire);
  for (;;) {
    const auto tasks = static_cast<std::uint32_t>(open >> 32);
    const auto next = static_cast<std::uint32_t>(open);
    if (next >= tasks) return;
    if (!open_.compare_exchange_weak(open, open + 1, std::memory_order_acquire)) continue;
    call_(body_, next, worker);
    if (finished_.fetch_add(1, std::memory_order_acq_rel) + 1 == tasks) finished_.notify_one();
    open = open_.load(std::memory_order_acquire);
  }
}

void ThreadPool::work(std::int32_t worker) {
  while (!stop_.load(std::memory_order_acquire)) {
    const std::uint32_t seen = epoch_.load(std::memory_order_acquire);
    drain(worker);
    if (!stop_.load(std::memory_order_acquire)) wait_while(epoch_, seen);
  }
}

}  // namespace millrace::engine::cpu
