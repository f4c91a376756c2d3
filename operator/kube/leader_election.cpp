#include "operator/kube/leader_election.h"

#include "common/stop.h"
#include "operator/kube/timestamp.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::seconds kReleasedDuration{1};
constexpr milliseconds kLookAtHolder{200};
constexpr const char* kNodeAnnotation = "millrace.dev/node";

LeaseRecord record_of(const Object& lease) {
  return {lease.string_at("/spec/holderIdentity"),
          lease.resource_version(),
          lease.int_at("/spec/leaseTransitions").value_or(0),
          std::chrono::seconds(lease.int_at("/spec/leaseDurationSeconds").value_or(0)),
          lease.annotation(kNodeAnnotation).value_or(""),
          parse_timestamp(lease.string_at("/spec/renewTime"))};
}

std::int64_t whole_seconds(milliseconds time) {
  return std::max<std::int64_t>(1, (time.count() + 999) / 1000);
}

void check(const LeaderElectionOptions& options) {
  const LeaseTimes& times = options.times;
  if (options.identity.empty() || options.lease.ns.empty() || options.lease.name.empty()) {
    throw common::Error(Code::kInvalidArgument, "leader election needs an identity and a lease's namespace and name");
  }
  if (times.retry_period.count() <= 0 || times.renew_deadline < 2 * times.retry_period ||
      times.duration <= times.renew_deadline) {
    throw common::Error(Code::kInvalidArgument,
                        "leader election times are " + std::to_string(times.duration.count()) + ", " +
                            std::to_string(times.renew_deadline.count()) + ", " +
                            std::to_string(times.retry_period.count()) +
                            " ms; lease duration > renew deadline >= 2 x retry period is required");
  }
}

}  // namespace

LeaseAction decide(const std::optional<LeaseRecord>& record, SteadyClock::time_point observed_at,
                   const std::string& identity, SteadyClock::time_point now) {
  if (!record) return LeaseAction::kCreate;
  if (record->holder == identity) return LeaseAction::kRenew;
  if (record->holder.empty()) return LeaseAction::kTake;
  return now - observed_at >= record->duration ? LeaseAction::kTake : LeaseAction::kWait;
}

SteadyClock::time_point renewed_by(const LeaseRecord& before, SteadyClock::time_point before_at,
                                   const LeaseRecord& found, SteadyClock::time_point now) {
  const bool comparable = found.holder == before.holder && found.transitions == before.transitions &&
                          before.renewed_at && found.renewed_at && *found.renewed_at > *before.renewed_at;
  return comparable ? std::min(now, before_at + (*found.renewed_at - *before.renewed_at)) : now;
}

milliseconds candidate_pause(const LeaseTimes& times, std::mt19937& random) {
  const std::int64_t period = times.retry_period.count();
  return milliseconds(std::uniform_int_distribution<std::int64_t>(period / 3, 2 * period / 3)(random));
}

ClientOptions client_options_for(const LeaseTimes& times, ClientOptions options) {
  options.attempts = 1;
  options.request_limit = std::min(options.request_limit, times.renew_deadline / 2);
  return options;
}

LeaderElector::LeaderElector(Client& client, LeaderElectionOptions options)
    : client_(client), options_(std::move(options)), random_(options_.seed) {
  check(options_);
  thread_ = std::jthread([this](std::stop_token stop) { run(std::move(stop)); });
}

LeaderElector::~LeaderElector() {
  stop();
}

bool LeaderElector::is_leader() const {
  const std::lock_guard lock(mutex_);
  return leading_until_ && SteadyClock::now() < *leading_until_;
}

std::int64_t LeaderElector::transitions() const {
  const std::lock_guard lock(mutex_);
  return transitions_;
}

std::string LeaderElector::holder() const {
  const std::lock_guard lock(mutex_);
  return holder_;
}

void LeaderElector::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void LeaderElector::run(std::stop_token stop) {
  bool leading = false;
  while (!stop.stop_requested()) {
    const auto begin = SteadyClock::now();
    if (attempt()) {
      // Counted from before the request: the server may have stored the renewal at any time since then.
      set_leading_until(begin + options_.times.renew_deadline);
      if (!std::exchange(leading, true) && options_.on_started) options_.on_started(transitions());
    } else if (leading && !is_leader()) {
      leading = false;
      set_leading_until(std::nullopt);
      if (options_.on_lost) options_.on_lost();
    }
    wait(leading, stop);
  }
  if (leading) release();
}

bool LeaderElector::is_holder_doubted() const {
  return record_ && !record_->node.empty() && options_.is_doubted && options_.is_doubted(record_->node);
}

// A candidate looks again as soon as the leader is doubted.
void LeaderElector::wait(bool leading, const std::stop_token& stop) {
  if (leading) {
    common::sleep_unless_stopped(options_.times.retry_period, stop);
    return;
  }
  const auto until = SteadyClock::now() + candidate_pause(options_.times, random_);
  for (auto left = until - SteadyClock::now(); left.count() > 0; left = until - SteadyClock::now()) {
    if (!common::sleep_unless_stopped(std::min<SteadyClock::duration>(left, kLookAtHolder), stop)) return;
    if (is_holder_doubted()) return;
  }
}

bool LeaderElector::attempt() {
  try {
    record_fresh_ = try_lease();
    return record_fresh_;
  } catch (const std::exception& error) {
    record_fresh_ = false;
    if (options_.on_error) options_.on_error(as_api_error(error));
    return false;
  }
}

bool LeaderElector::try_lease() {
  if (!record_fresh_) {
    const std::optional<Object> lease = client_.get(kLease, options_.lease);
    observe(lease ? std::optional(record_of(*lease)) : std::nullopt);
  }
  std::optional<LeaseRecord> record = record_;
  if (is_holder_doubted()) record->duration = options_.times.doubted_duration();
  const LeaseAction action = decide(record, observed_at_, options_.identity, SteadyClock::now());
  if (action == LeaseAction::kWait) {
    // Somebody else holds it. If that was us a moment ago, we are not any more.
    set_leading_until(std::nullopt);
    return false;
  }
  observe(write_lease(action));
  return true;
}

void LeaderElector::observe(const std::optional<LeaseRecord>& record) {
  const bool changed =
      record.has_value() != record_.has_value() || (record && record->resource_version != record_->resource_version);
  const auto now = SteadyClock::now();
  if (changed) {
    const bool was_blind = now - looked_at_ > 2 * options_.times.retry_period;
    observed_at_ = was_blind && record && record_ ? renewed_by(*record_, observed_at_, *record, now) : now;
  }
  looked_at_ = now;
  record_ = record;
  if (record_ && record_->duration.count() <= 0) record_->duration = options_.times.duration;
  const std::string holder = record ? record->holder : "";
  {
    const std::lock_guard lock(mutex_);
    if (holder == options_.identity && record) transitions_ = record->transitions;
    if (holder_ == holder) return;
    holder_ = holder;
  }
  if (options_.on_new_leader && !holder.empty()) options_.on_new_leader(holder);
}

LeaseRecord LeaderElector::write_lease(LeaseAction action) {
  const std::string now = format_micro_time(std::chrono::system_clock::now());
  Json spec = {{"holderIdentity", options_.identity},
               {"leaseDurationSeconds", whole_seconds(options_.times.duration)},
               {"renewTime", now}};
  Json metadata = Json::object();
  if (action != LeaseAction::kRenew) {
    spec["acquireTime"] = now;
    spec["leaseTransitions"] = action == LeaseAction::kCreate ? 0 : record_->transitions + 1;
    metadata["annotations"][kNodeAnnotation] = options_.node.empty() ? Json() : Json(options_.node);
  }
  if (action == LeaseAction::kCreate) {
    Object lease(kLease, options_.lease);
    if (!options_.node.empty()) lease.json()["metadata"].update(metadata);
    lease.json()["spec"] = std::move(spec);
    return record_of(client_.create(kLease, lease));
  }
  // The version makes it compare-and-swap: of two candidates only one gets through.
  metadata["resourceVersion"] = record_->resource_version;
  return record_of(
      client_.patch(kLease, options_.lease, {{"metadata", std::move(metadata)}, {"spec", std::move(spec)}}));
}

void LeaderElector::release() {
  set_leading_until(std::nullopt);
  if (!record_ || record_->holder != options_.identity) return;
  Client& client = options_.release_client != nullptr ? *options_.release_client : client_;
  try {
    try {
      write_release(client, record_->resource_version);
    } catch (const ApiError& error) {
      if (error.code() != Code::kConflict) throw;
      // A renewal was stored whose answer we did not wait for, or somebody else holds it.
      const std::optional<Object> lease = client.get(kLease, options_.lease);
      if (lease && record_of(*lease).holder == options_.identity) write_release(client, lease->resource_version());
    }
  } catch (const std::exception& error) {
    // The lease then runs out by itself.
    if (options_.on_error) options_.on_error(as_api_error(error));
  }
}

void LeaderElector::write_release(Client& client, const std::string& resource_version) {
  const std::string now = format_micro_time(std::chrono::system_clock::now());
  const Json spec = {{"holderIdentity", ""},
                     {"leaseDurationSeconds", kReleasedDuration.count()},
                     {"renewTime", now},
                     {"acquireTime", now}};
  client.patch(kLease, options_.lease, {{"metadata", {{"resourceVersion", resource_version}}}, {"spec", spec}});
}

void LeaderElector::set_leading_until(std::optional<Clock::time_point> until) {
  const std::lock_guard lock(mutex_);
  leading_until_ = until;
}

}  // namespace millrace::controller::kube
