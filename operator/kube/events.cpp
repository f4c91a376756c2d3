#include "operator/kube/events.h"

#include <algorithm>
#include <utility>

#include "operator/kube/timestamp.h"

namespace millrace::controller::kube {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kQueueLimit = 1000;
constexpr std::size_t kMessageLimit = 1024;  // of the API
constexpr std::size_t kNameLimit = 253;
constexpr double kBurst = 25;
constexpr std::chrono::minutes kRefill{5};      // one token
constexpr std::chrono::minutes kSeriesAge{10};  // an equal record after this long is news again
constexpr std::size_t kRememberedObjects = 4096;

std::string text_of(const Json& reference, const char* name) {
  const Object document(reference);
  return document.string_at(std::string("/") + name);
}

std::string object_id(const EventRecord& record) {
  return text_of(record.regarding, "kind") + "/" + text_of(record.regarding, "namespace") + "/" +
         text_of(record.regarding, "name") + "/" + text_of(record.regarding, "uid");
}

std::string series_id(const EventRecord& record) {
  return object_id(record) + "|" + record.reason + "|" + record.action + "|" + record.message + "|" +
         text_of(record.related, "name");
}

// At most `limit` bytes, cut between characters.
std::string cut(std::string text, std::size_t limit) {
  if (text.size() <= limit) return text;
  std::size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return text;
}

std::string now_text() {
  return format_micro_time(std::chrono::system_clock::now());
}

}  // namespace

Json reference_to(const Object& object) {
  Json reference = {{"apiVersion", object.api_version()}, {"kind", object.kind()}, {"name", object.name()}};
  if (!object.ns().empty()) reference["namespace"] = object.ns();
  if (!object.uid().empty()) reference["uid"] = object.uid();
  if (!object.resource_version().empty()) reference["resourceVersion"] = object.resource_version();
  return reference;
}

EventAggregator::Decision EventAggregator::decide(const EventRecord& record, TimePoint now) {
  expire(now);
  if (!take_token(object_id(record), now)) return {Verdict::kDrop, {}, 0};
  const auto it = series_.find(series_id(record));
  if (it == series_.end()) return {Verdict::kCreate, {}, 1};
  it->second.last = now;
  return {Verdict::kCount, it->second.event, ++it->second.count};
}

void EventAggregator::created(const EventRecord& record, const ObjectKey& event, TimePoint now) {
  series_[series_id(record)] = {event, 1, now};
}

void EventAggregator::lost(const EventRecord& record) {
  series_.erase(series_id(record));
}

bool EventAggregator::take_token(const std::string& object, TimePoint now) {
  auto [it, fresh] = buckets_.emplace(object, Bucket{kBurst, now});
  Bucket& bucket = it->second;
  const double refilled = std::chrono::duration<double>(now - bucket.filled) / std::chrono::duration<double>(kRefill);
  bucket.tokens = std::min(kBurst, bucket.tokens + refilled);
  bucket.filled = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

void EventAggregator::expire(TimePoint now) {
  std::erase_if(series_, [&](const auto& entry) { return now - entry.second.last > kSeriesAge; });
  if (buckets_.size() < kRememberedObjects) return;
  std::erase_if(buckets_, [&](const auto& entry) { return now - entry.second.filled > kRefill; });
}

EventRecorder::EventRecorder(Client& client, std::string component, std::string instance)
    : client_(client),
      component_(std::move(component)),
      instance_(std::move(instance)),
      thread_([this](std::stop_token stop) { run(std::move(stop)); }) {}

EventRecorder::~EventRecorder() {
  stop();
}

void EventRecorder::record(EventRecord record) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= kQueueLimit) {
      ++dropped_;
      return;
    }
    record.message = cut(std::move(record.message), kMessageLimit);
    queue_.push_back(std::move(record));
    changed_.notify_all();
  } catch (const std::exception&) {
    // Out of memory: an event is the least of the losses.
  }
}

void EventRecorder::normal(const Object& object, std::string reason, std::string action, std::string message) noexcept {
  record({EventRecord::Type::kNormal, reference_to(object), nullptr, std::move(reason), std::move(action),
          std::move(message)});
}

void EventRecorder::warning(const Object& object, std::string reason, std::string action,
                            std::string message) noexcept {
  record({EventRecord::Type::kWarning, reference_to(object), nullptr, std::move(reason), std::move(action),
          std::move(message)});
}

std::uint64_t EventRecorder::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

bool EventRecorder::flush(milliseconds limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [&] { return queue_.empty() && !writing_; });
}

void EventRecorder::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void EventRecorder::run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [&] { return !queue_.empty(); })) {
    const EventRecord record = std::move(queue_.front());
    queue_.pop_front();
    writing_ = true;
    lock.unlock();
    const bool written = write(record);
    lock.lock();
    writing_ = false;
    if (!written) ++dropped_;
    changed_.notify_all();
    if (stop.stop_requested()) break;
  }
}

bool EventRecorder::write(const EventRecord& record) {
  const auto now = std::chrono::steady_clock::now();
  const EventAggregator::Decision decision = aggregator_.decide(record, now);
  if (decision.verdict == EventAggregator::Verdict::kDrop) return false;
  try {
    if (decision.verdict == EventAggregator::Verdict::kCount) {
      if (count_on(decision)) return true;
      aggregator_.lost(record);
    }
    const Object stored = client_.create(kEvent, event_object(record));
    aggregator_.created(record, stored.key(), now);
    return true;
  } catch (const std::exception&) {
    // No permission, no server, a namespace being deleted: never a reason to fail a reconcile.
    return false;
  }
}

bool EventRecorder::count_on(const EventAggregator::Decision& decision) {
  try {
    client_.patch(kEvent, decision.event, {{"series", {{"count", decision.count}, {"lastObservedTime", now_text()}}}});
    return true;
  } catch (const ApiError& error) {
    if (error.code() == common::Code::kNotFound) return false;  // events expire on the server after an hour
    throw;
  }
}

Object EventRecorder::event_object(const EventRecord& record) {
  const std::string name = text_of(record.regarding, "name");
  const std::string ns = text_of(record.regarding, "namespace");
  const auto ticks = std::chrono::system_clock::now().time_since_epoch().count();
  const std::string suffix = "." + std::to_string(ticks) + "-" + std::to_string(++written_);
  // Events about cluster-scoped objects live in "default", by convention.
  Object event(kEvent, {ns.empty() ? "default" : ns, cut(name, kNameLimit - suffix.size()) + suffix});
  Json& json = event.json();
  json["eventTime"] = now_text();
  json["type"] = record.type == EventRecord::Type::kNormal ? "Normal" : "Warning";
  json["reason"] = record.reason;
  json["action"] = record.action;
  json["note"] = record.message;
  json["regarding"] = record.regarding;
  if (record.related.is_object()) json["related"] = record.related;
  json["reportingController"] = component_;
  json["reportingInstance"] = instance_;
  return event;
}

}  // namespace millrace::controller::kube
