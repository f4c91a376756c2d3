// Keeps a Store equal to the server: list, then watch from the list's version, and recover from every way a watch ends.
// The decisions are in ListWatch, a pure state machine; Informer is the thread that carries them out.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <thread>

#include "operator/kube/backoff.h"
#include "operator/kube/client.h"
#include "operator/kube/store.h"

namespace millrace::controller::kube {

// What to do next, after waiting `delay`.
struct WatchStep {
  enum class Do { kList, kWatch };
  Do what;
  std::chrono::milliseconds delay{0};
  std::string resource_version;     // kWatch
  std::chrono::seconds timeout{0};  // kWatch: random in [300, 600), so that watches do not all end together
};

// The reflector of client-go, as a value. Not thread-safe; no I/O, no clock of its own.
class ListWatch {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit ListWatch(std::uint32_t seed);

  WatchStep start() const { return {WatchStep::Do::kList, {}, {}, {}}; }
  WatchStep listed(const std::string& resource_version, TimePoint now);
  WatchStep list_failed(const ApiError& error, TimePoint now);
  void saw_event(const std::string& resource_version);  // bookmarks too
  // `lasted`: how long the watch ran. kStopped is the driver's business and must not come here.
  WatchStep watch_ended(const WatchOutcome& outcome, std::chrono::milliseconds lasted, TimePoint now);

  const std::string& resource_version() const { return version_; }

 private:
  WatchStep list_after(std::chrono::milliseconds delay);
  WatchStep watch_after(std::chrono::milliseconds delay);

  Backoff backoff_;
  std::mt19937 random_;
  std::string version_;
  bool progressed_ = false;  // an event came since the watch began
  int fruitless_ = 0;        // watches in a row that failed without an event; too many lead to a new list
};

struct InformerOptions {
  ResourceKind kind = {};
  std::string ns = {};
  std::string label_selector = {};
  std::vector<std::string> index_labels = {};
  std::uint32_t seed = std::random_device{}();
  StoreForm form = StoreForm::kWhole;
  std::function<void(Object&)> trim = {};  // drops what nobody reads, before the object is kept
};

// What an informer has been through; for metrics, logs and readiness.
struct InformerStats {
  std::uint64_t lists = 0;
  std::uint64_t watches = 0;
  std::uint64_t events = 0;
  std::uint64_t failures = 0;
  std::string last_error;  // empty when the last list or watch was in order
};

class Informer {
 public:
  // Called on the informer's thread after the store has changed. Must be quick (put a key into a queue) and not throw.
  using Handler = std::function<void(const Change&)>;
  // Called on the informer's thread for each failed list or watch, before it backs off. May be empty.
  using ErrorHandler = std::function<void(const ApiError&)>;

  // Starts at once. `client` is borrowed and outlives the informer.
  Informer(Client& client, InformerOptions options, Handler handler, ErrorHandler on_error = {});
  ~Informer();  // stops

  Informer(const Informer&) = delete;
  Informer& operator=(const Informer&) = delete;

  const Store& store() const { return store_; }
  const InformerOptions& options() const { return options_; }

  bool synced() const;  // the first list is in the store
  // False when `limit` passed or the informer stopped first.
  bool wait_synced(std::chrono::milliseconds limit) const;
  InformerStats stats() const;
  void stop();  // returns when the thread has ended; no handler runs after it

 private:
  void run(std::stop_token stop);
  WatchStep list_once(ListWatch& machine, const std::stop_token& stop);
  void take_list(ListResult& result);
  WatchStep watch_once(ListWatch& machine, const WatchStep& step, const std::stop_token& stop);
  void take(ListWatch& machine, WatchEvent&& event);
  bool is_behind(const WatchEvent& event) const;
  void deliver(const std::vector<Change>& changes);
  void note_failure(const ApiError& error);

  Client& client_;
  const InformerOptions options_;
  const Handler handler_;
  const ErrorHandler on_error_;
  Store store_;
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  bool synced_ = false;
  bool ended_ = false;
  InformerStats stats_;
  std::jthread thread_;  // last: everything it uses exists before it starts
};

}  // namespace millrace::controller::kube
