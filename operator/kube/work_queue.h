// Keys waiting to be reconciled. A key is queued once however often it is added; two workers never hold the same key;
// one added while it is worked on comes back when that work is done. User edits overtake resyncs. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <unordered_map>

#include "operator/kube/object.h"

namespace millrace::controller::kube {

// kUrgent: what fails while it waits. kHigh: changes. kLow: initial lists, relists, periodic looks. A key added with
// several has the highest one.
enum class Priority { kUrgent, kHigh, kLow };

// Feeds the workqueue_* metrics. Called with the queue's lock held: return at once and do not call back.
class QueueObserver {
 public:
  virtual ~QueueObserver() = default;
  virtual void added() = 0;
  virtual void retried() = 0;
  virtual void started(std::chrono::duration<double> waited) = 0;
  virtual void finished(std::chrono::duration<double> worked) = 0;
};

struct WorkQueueOptions {
  std::chrono::milliseconds first_retry{5};
  std::chrono::milliseconds retry_limit{1'000'000};
  // With many keys that fail, the limit is as many times this: however many they are, retries have a highest rate.
  std::chrono::milliseconds retry_spacing{0};
  std::function<std::chrono::steady_clock::time_point()> now = [] { return std::chrono::steady_clock::now(); };
  QueueObserver* observer = nullptr;  // borrowed; outlives the queue
};

class WorkQueue {
 public:
  using Clock = std::chrono::steady_clock;

  explicit WorkQueue(WorkQueueOptions options = {});

  void add(const ObjectKey& key, Priority priority = Priority::kHigh);
  // Not before `delay` has passed; the earliest add_after() of a key wins, add() does not cancel it.
  void add_after(const ObjectKey& key, std::chrono::milliseconds delay, Priority priority = Priority::kHigh);
  // After the key's own back-off, which doubles from first_retry to the limit with each call until forget().
  void add_rate_limited(const ObjectKey& key, Priority priority = Priority::kHigh);
  void forget(const ObjectKey& key);        // the key succeeded: back-off starts anew
  int retries(const ObjectKey& key) const;  // add_rate_limited() calls since forget()

  // Blocks for a key and marks it as being worked on; pair with done(). Empty when shut down or stopped: keys still
  // queued at shut down are not handed out.
  std::optional<ObjectKey> get(std::stop_token stop = {});
  std::optional<ObjectKey> try_get();  // empty when nothing is due now
  void done(const ObjectKey& key);

  void shut_down();
  bool shutting_down() const;

  std::size_t depth() const;                                // due and waiting for a worker
  std::size_t delayed() const;                              // waiting for their time
  std::optional<Clock::time_point> next_due() const;        // of the delayed ones
  std::chrono::duration<double> unfinished_work() const;    // summed over keys being worked on
  std::chrono::duration<double> longest_processor() const;  // oldest key being worked on

 private:
  struct Waiting {
    Priority priority;
    Clock::time_point since;
    std::uint64_t order;
  };
  struct Delayed {
    Priority priority;
    Clock::time_point due;
  };

  void enqueue_locked(const ObjectKey& key, Priority priority);
  void promote_locked();  // moves delayed keys whose time has come
  std::optional<ObjectKey> take_locked();

  const WorkQueueOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  bool shut_down_ = false;
  std::uint64_t next_order_ = 0;
  std::map<std::pair<Priority, std::uint64_t>, ObjectKey> ready_;  // first out first
  std::unordered_map<ObjectKey, Waiting> waiting_;                 // the keys of ready_
  std::unordered_map<ObjectKey, Priority> dirty_;                  // added while being worked on
  std::unordered_map<ObjectKey, Clock::time_point> working_;       // since when
  std::unordered_map<ObjectKey, Delayed> delayed_;
  std::set<std::pair<Clock::time_point, ObjectKey>> by_due_;
  std::unordered_map<ObjectKey, int> retries_;
};

}  // namespace millrace::controller::kube
