// Tells users what happened to their objects: events.k8s.io/v1, written by a thread of its own. Recording never blocks,
// never fails and never floods: a repeated event becomes a series on the first one, and each object has a budget (25 at
// once, then one in five minutes). Record on transitions, not on every reconcile.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "operator/kube/client.h"

namespace millrace::controller::kube {

struct EventRecord {
  enum class Type { kNormal, kWarning };
  Type type = Type::kNormal;
  Json regarding;       // object reference, see reference_to()
  Json related;         // null, or a second object reference
  std::string reason;   // PascalCase, from a documented list: "RolloutStarted"
  std::string action;   // what the controller did or tried: "Rollout"
  std::string message;  // at most 1024 bytes are kept
};

Json reference_to(const Object& object);

// What to do with a record: pure bookkeeping, given the time.
class EventAggregator {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  enum class Verdict { kCreate, kCount, kDrop };
  struct Decision {
    Verdict verdict;
    ObjectKey event;  // kCount: the event to update; filled in by created() before
    int count = 1;
  };

  Decision decide(const EventRecord& record, TimePoint now);
  void created(const EventRecord& record, const ObjectKey& event,
               TimePoint now);           // later equal records are counted on it
  void lost(const EventRecord& record);  // the event is gone: the next one is created anew

 private:
  struct Series {
    ObjectKey event;
    int count = 1;
    TimePoint last;
  };
  struct Bucket {
    double tokens;
    TimePoint filled;
  };

  bool take_token(const std::string& object, TimePoint now);
  void expire(TimePoint now);

  std::map<std::string, Series> series_;
  std::map<std::string, Bucket> buckets_;
};

class EventRecorder {
 public:
  // `component` is the reporting controller, "millrace.dev/operator"; `instance` this process. `client` is borrowed.
  EventRecorder(Client& client, std::string component, std::string instance);
  ~EventRecorder();  // stops

  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  // Any thread. Dropped (and counted) when 1000 records wait.
  void record(EventRecord record) noexcept;
  void normal(const Object& object, std::string reason, std::string action, std::string message) noexcept;
  void warning(const Object& object, std::string reason, std::string action, std::string message) noexcept;

  std::uint64_t dropped() const;                // by the bound, the budget or a refusing server
  bool flush(std::chrono::milliseconds limit);  // true when everything recorded so far was written or dropped
  void stop();                                  // what waits is dropped

 private:
  void run(std::stop_token stop);
  bool write(const EventRecord& record);  // false: dropped
  bool count_on(const EventAggregator::Decision& decision);
  Object event_object(const EventRecord& record);

  Client& client_;
  const std::string component_;
  const std::string instance_;
  EventAggregator aggregator_;  // recorder's thread
  std::uint64_t written_ = 0;   // recorder's thread
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<EventRecord> queue_;
  bool writing_ = false;
  std::uint64_t dropped_ = 0;
  std::jthread thread_;
};

}  // namespace millrace::controller::kube
