#include "operator/kube/work_queue.h"

#include <algorithm>

namespace millrace::controller::kube {

WorkQueue::WorkQueue(WorkQueueOptions options) : options_(std::move(options)) {}

void WorkQueue::add(const ObjectKey& key, Priority priority) {
  const std::lock_guard lock(mutex_);
  if (!shut_down_) enqueue_locked(key, priority);
}

void WorkQueue::add_after(const ObjectKey& key, std::chrono::milliseconds delay, Priority priority) {
  const std::lock_guard lock(mutex_);
  if (shut_down_) return;
  if (delay <= std::chrono::milliseconds(0)) {
    enqueue_locked(key, priority);
    return;
  }
  const auto due = options_.now() + delay;
  if (const auto it = delayed_.find(key); it != delayed_.end()) {
    it->second.priority = std::min(it->second.priority, priority);
    if (it->second.due <= due) return;
    by_due_.erase({it->second.due, key});
    it->second.due = due;
  } else {
    delayed_.emplace(key, Delayed{priority, due});
  }
  by_due_.insert({due, key});
  changed_.notify_all();  // a waiting worker may have to wake earlier
}

void WorkQueue::add_rate_limited(const ObjectKey& key, Priority priority) {
  std::chrono::milliseconds delay = options_.first_retry;
  {
    const std::lock_guard lock(mutex_);
    const int failures = retries_[key]++;
    const auto limit =
        std::max(options_.retry_limit, options_.retry_spacing * static_cast<std::int64_t>(retries_.size()));
    for (int i = 0; i < failures && delay < limit; ++i) delay *= 2;
    delay = std::min(delay, limit);
    if (options_.observer) options_.observer->retried();
  }
  add_after(key, delay, priority);
}

void WorkQueue::forget(const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  retries_.erase(key);
}

int WorkQueue::retries(const ObjectKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto it = retries_.find(key);
  return it == retries_.end() ? 0 : it->second;
}

std::optional<ObjectKey> WorkQueue::get(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!shut_down_ && !stop.stop_requested()) {
    if (auto key = take_locked()) return key;
    const auto ready = [&] { return shut_down_ || !ready_.empty(); };
    if (by_due_.empty()) {
      changed_.wait(lock, stop, [&] { return ready() || !by_due_.empty(); });
    } else {
      const auto due = by_due_.begin()->first;
      // Woken also when an earlier time comes in; the loop then looks again.
      changed_.wait_for(lock, stop, due - options_.now(),
                        [&] { return ready() || by_due_.empty() || by_due_.begin()->first < due; });
    }
  }
  return std::nullopt;
}

std::optional<ObjectKey> WorkQueue::try_get() {
  const std::lock_guard lock(mutex_);
  return shut_down_ ? std::nullopt : take_locked();
}

void WorkQueue::done(const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  const auto it = working_.find(key);
  if (it == working_.end()) return;
  if (options_.observer) options_.observer->finished(options_.now() - it->second);
  working_.erase(it);
  const auto again = dirty_.find(key);
  if (again == dirty_.end()) return;
  const Priority priority = again->second;
  dirty_.erase(again);
  if (!shut_down_) enqueue_locked(key, priority);
}

void WorkQueue::shut_down() {
  const std::lock_guard lock(mutex_);
  shut_down_ = true;
  changed_.notify_all();
}

bool WorkQueue::shutting_down() const {
  const std::lock_guard lock(mutex_);
  return shut_down_;
}

std::size_t WorkQueue::depth() const {
  const std::lock_guard lock(mutex_);
  return ready_.size();
}

std::size_t WorkQueue::delayed() const {
  const std::lock_guard lock(mutex_);
  return delayed_.size();
}

std::optional<WorkQueue::Clock::time_point> WorkQueue::next_due() const {
  const std::lock_guard lock(mutex_);
  if (by_due_.empty()) return std::nullopt;
  return by_due_.begin()->first;
}

std::chrono::duration<double> WorkQueue::unfinished_work() const {
  const std::lock_guard lock(mutex_);
  std::chrono::duration<double> sum{0};
  for (const auto& [key, since] : working_) sum += options_.now() - since;
  return sum;
}

std::chrono::duration<double> WorkQueue::longest_processor() const {
  const std::lock_guard lock(mutex_);
  std::chrono::duration<double> longest{0};
  for (const auto& [key, since] : working_) {
    longest = std::max<std::chrono::duration<double>>(longest, options_.now() - since);
  }
  return longest;
}

void WorkQueue::enqueue_locked(const ObjectKey& key, Priority priority) {
  if (working_.contains(key)) {
    const auto [it, fresh] = dirty_.emplace(key, priority);
    it->second = std::min(it->second, priority);
    if (fresh && options_.observer) options_.observer->added();
    return;
  }
  if (const auto it = waiting_.find(key); it != waiting_.end()) {
    if (it->second.priority <= priority) return;
    ready_.erase({it->second.priority, it->second.order});  // overtakes, and keeps its waiting time
    it->second.priority = priority;
    it->second.order = next_order_++;
    ready_.emplace(std::pair{priority, it->second.order}, key);
    return;
  }
  const std::uint64_t order = next_order_++;
  waiting_.emplace(key, Waiting{priority, options_.now(), order});
  ready_.emplace(std::pair{priority, order}, key);
  if (options_.observer) options_.observer->added();
  changed_.notify_one();
}

void WorkQueue::promote_locked() {
  const auto now = options_.now();
  while (!by_due_.empty() && by_due_.begin()->first <= now) {
    const ObjectKey key = by_due_.begin()->second;
    by_due_.erase(by_due_.begin());
    const auto it = delayed_.find(key);
    const Priority priority = it->second.priority;
    delayed_.erase(it);
    enqueue_locked(key, priority);
  }
}

std::optional<ObjectKey> WorkQueue::take_locked() {
  promote_locked();
  if (ready_.empty()) return std::nullopt;
  ObjectKey key = std::move(ready_.begin()->second);
  ready_.erase(ready_.begin());
  const auto it = waiting_.find(key);
  const auto now = options_.now();
  if (options_.observer) options_.observer->started(now - it->second.since);
  waiting_.erase(it);
  working_.emplace(key, now);
  // Another worker may be asleep until a time that this call has already served.
  if (!ready_.empty()) changed_.notify_one();
  return key;
}

}  // namespace millrace::controller::kube
