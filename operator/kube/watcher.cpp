#include "operator/kube/watcher.h"

#include <charconv>
#include <utility>

namespace millrace::controller::kube {
namespace {

using common::Code;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A watch that ends sooner and brought nothing is a failure, or it would be repeated in a tight loop.
constexpr seconds kVeryShort{1};
// After this many failed watches in a row the version itself is suspected.
constexpr int kRelistAfter = 5;

// Whatever kept a server away, its return is noticed within twice this: delays are stretched by up to as much again.
constexpr milliseconds kLongestBackoff{3'000};
constexpr int kPageSize = 100;  // of a list: parsed, a page of pods takes some 10 MB

// 0: not one that can be compared.
std::uint64_t version_number(const std::string& version) {
  std::uint64_t number = 0;
  std::from_chars(version.data(), version.data() + version.size(), number);
  return number;
}

// Versions grow along a stream; what is not newer than the last comes late, or once more.
bool is_late(const WatchEvent& event, const std::string& last) {
  const std::uint64_t version = version_number(event.object.resource_version());
  return event.type != EventType::kBookmark && version > 0 && version <= version_number(last);
}

seconds random_timeout(std::mt19937& random) {
  return seconds(std::uniform_int_distribution<int>(300, 599)(random));
}

// Trying the same version again can work. Anything else says that version, stream or permission is wrong.
bool worth_resuming(Code code) {
  return code == Code::kUnavailable || code == Code::kDeadlineExceeded || code == Code::kResourceExhausted;
}

}  // namespace

ListWatch::ListWatch(std::uint32_t seed) : backoff_(seed, {.limit = kLongestBackoff}), random_(seed) {}

WatchStep ListWatch::listed(const std::string& resource_version, TimePoint) {
  version_ = resource_version;
  fruitless_ = 0;
  return watch_after(milliseconds(0));
}

WatchStep ListWatch::list_failed(const ApiError& error, TimePoint now) {
  return list_after(std::max(backoff_.next(now), error.retry_after().value_or(milliseconds(0))));
}

void ListWatch::saw_event(const std::string& resource_version) {
  progressed_ = true;
  if (!resource_version.empty()) version_ = resource_version;
}

WatchStep ListWatch::watch_ended(const WatchOutcome& outcome, milliseconds lasted, TimePoint now) {
  if (progressed_) fruitless_ = 0;
  if (outcome.end == WatchEnd::kClosed) {
    const bool healthy = progressed_ || lasted >= kVeryShort;
    return watch_after(healthy ? milliseconds(0) : backoff_.next(now));
  }
  // Also paced: a server that refuses each version it has just listed must not be asked in a tight loop.
  if (outcome.end == WatchEnd::kExpired) return list_after(backoff_.next(now));
  const Code code = outcome.error ? outcome.error->code() : Code::kUnavailable;
  const milliseconds asked = outcome.error ? outcome.error->retry_after().value_or(milliseconds(0)) : milliseconds(0);
  const milliseconds delay = std::max(backoff_.next(now), asked);
  if (!worth_resuming(code) || ++fruitless_ >= kRelistAfter) return list_after(delay);
  return watch_after(delay);
}

WatchStep ListWatch::list_after(milliseconds delay) {
  return {WatchStep::Do::kList, delay, {}, {}};
}

WatchStep ListWatch::watch_after(milliseconds delay) {
  progressed_ = false;
  return {WatchStep::Do::kWatch, delay, version_, random_timeout(random_)};
}

Informer::Informer(Client& client, InformerOptions options, Handler handler, ErrorHandler on_error)
    : client_(client),
      options_(std::move(options)),
      handler_(std::move(handler)),
      on_error_(std::move(on_error)),
      store_(options_.index_labels, options_.form),
      thread_([this](std::stop_token stop) { run(std::move(stop)); }) {}

Informer::~Informer() {
  stop();
}

bool Informer::synced() const {
  const std::lock_guard lock(mutex_);
  return synced_;
}

bool Informer::wait_synced(milliseconds limit) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [&] { return synced_ || ended_; });
  return synced_;
}

InformerStats Informer::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void Informer::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Informer::run(std::stop_token stop) {
  ListWatch machine(options_.seed);
  WatchStep step = machine.start();
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, stop, step.delay, [] { return false; });
    }
    if (stop.stop_requested()) break;
    step = step.what == WatchStep::Do::kList ? list_once(machine, stop) : watch_once(machine, step, stop);
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

WatchStep Informer::list_once(ListWatch& machine, const std::stop_token& stop) {
  const auto now = [] { return std::chrono::steady_clock::now(); };
  try {
    ListOptions options;
    options.ns = options_.ns;
    options.label_selector = options_.label_selector;
    options.stop = stop;
    options.trim = options_.trim;
    options.page_size = kPageSize;
    options.pack = true;
    ListResult result = client_.list(options_.kind, options);
    take_list(result);
    const std::lock_guard lock(mutex_);
    ++stats_.lists;
    stats_.last_error.clear();
    synced_ = true;
    changed_.notify_all();
    return machine.listed(result.resource_version, now());
  } catch (const std::exception& error) {
    const ApiError failure = as_api_error(error);
    note_failure(failure);
    return machine.list_failed(failure, now());
  }
}

// One object after another: all of a long list at the same time would be many times what the store needs.
void Informer::take_list(ListResult& result) {
  std::set<ObjectKey> listed;
  const auto take = [&](Object object) {
    listed.insert(object.key());
    deliver(store_.put(std::move(object), true));
  };
  for (Object& object : result.items) take(std::move(object));
  for (std::string& packed : result.packed) take(unpack(std::exchange(packed, {})));
  deliver(store_.keep_only(listed));
}

WatchStep Informer::watch_once(ListWatch& machine, const WatchStep& step, const std::stop_token& stop) {
  const auto begin = std::chrono::steady_clock::now();
  WatchOptions options;
  options.ns = options_.ns;
  options.label_selector = options_.label_selector;
  options.resource_version = step.resource_version;
  options.timeout = step.timeout;
  WatchOutcome outcome;
  try {
    outcome = client_.watch(
        options_.kind, options, [&](WatchEvent&& event) { take(machine, std::move(event)); }, stop);
  } catch (const std::exception& error) {
    outcome = {WatchEnd::kFailed, as_api_error(error)};
  }
  {
    const std::lock_guard lock(mutex_);
    ++stats_.watches;
    if (!outcome.error) stats_.last_error.clear();
  }
  if (outcome.end == WatchEnd::kStopped) return step;
  if (outcome.error) note_failure(*outcome.error);
  const auto end = std::chrono::steady_clock::now();
  return machine.watch_ended(outcome, std::chrono::duration_cast<milliseconds>(end - begin), end);
}

void Informer::take(ListWatch& machine, WatchEvent&& event) {
  const bool late = is_late(event, machine.resource_version());
  const std::string version = late ? std::string() : event.object.resource_version();
  if (late && is_behind(event)) {
    // nothing new
  } else if (event.type == EventType::kDeleted) {
    deliver(store_.remove(event.object.key()));
  } else if (event.type != EventType::kBookmark) {
    if (options_.trim) options_.trim(event.object);
    deliver(store_.put(std::move(event.object)));
  }
  machine.saw_event(version);
  const std::lock_guard lock(mutex_);
  ++stats_.events;
}

// Of a late event: whether the store knows better. That of an object that is not there may be from before its deletion,
// which only a new list can tell.
bool Informer::is_behind(const WatchEvent& event) const {
  const ObjectPtr known = store_.get(event.object.key());
  const std::string version = event.object.resource_version();
  if (known) return version_number(known->resource_version()) >= version_number(version);
  if (event.type == EventType::kDeleted) return true;
  throw ApiError(Code::kDataLoss, 0, "", "the event of version " + version + " of " + event.object.name() + " is late");
}

void Informer::deliver(const std::vector<Change>& changes) {
  for (const Change& change : changes) handler_(change);
}

void Informer::note_failure(const ApiError& error) {
  if (error.code() == Code::kCancelled) return;
  {
    const std::lock_guard lock(mutex_);
    ++stats_.failures;
    stats_.last_error = error.what();
  }
  if (on_error_) on_error_(error);
}

}  // namespace millrace::controller::kube
