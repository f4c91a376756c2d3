// One leader among several operators, through a Lease. Times of other machines are never compared with ours: what
// counts is when we saw the record change (so skewed clocks cannot make two leaders). The decision is the pure function
// decide(); LeaderElector is the thread that carries it out.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <thread>

#include "operator/kube/client.h"

namespace millrace::controller::kube {

// A leader that dies is replaced within duration + 2 retry periods, one that leaves within two thirds of 1.
struct LeaseTimes {
  std::chrono::milliseconds duration{12'000};       // others wait this long after the last renewal they saw
  std::chrono::milliseconds renew_deadline{8'000};  // a leader that could not renew for this long stops leading
  std::chrono::milliseconds retry_period{1'500};    // between attempts; see candidate_pause

  // Instead of duration, for a leader whose node is in doubt: it has missed a renewal.
  std::chrono::milliseconds doubted_duration() const { return retry_period * 4 / 3; }
};

// How long somebody who does not lead waits before looking again: by chance, between a third of a retry period and two
// thirds, so that two candidates seldom write at the same time, and a lease that is given up is soon seen.
std::chrono::milliseconds candidate_pause(const LeaseTimes& times, std::mt19937& random);

// The Lease as stored.
struct LeaseRecord {
  std::string holder;  // empty: released
  std::string resource_version;
  std::int64_t transitions = 0;
  std::chrono::milliseconds duration{0};
  std::string node = {};  // where the holder runs; empty: it did not say
  // By the holder's clock: compared with nothing but another such time of the same holder.
  std::optional<std::chrono::system_clock::time_point> renewed_at = {};
};

enum class LeaseAction { kCreate, kTake, kRenew, kWait };

// When the holder renewed at the latest, by our clock, as a changed record is found at `now` by one who could not look
// for a while. Not later than what we saw before plus the time between the two renewals, by the holder's clock. It is
// `now` where that says nothing: another holder, a clock that was set back.
std::chrono::steady_clock::time_point renewed_by(const LeaseRecord& before,
                                                 std::chrono::steady_clock::time_point before_at,
                                                 const LeaseRecord& found, std::chrono::steady_clock::time_point now);

// `observed_at`: when this version of the record was written at the latest, by our clock. nullopt record: there is no
// Lease.
LeaseAction decide(const std::optional<LeaseRecord>& record, std::chrono::steady_clock::time_point observed_at,
                   const std::string& identity, std::chrono::steady_clock::time_point now);

struct LeaderElectionOptions {
  ObjectKey lease = {};
  std::string identity = {};  // unique per process: host name and a random part
  LeaseTimes times = {};
  std::string node = {};  // where this process runs, for is_doubted of others; empty: not known
  // There is evidence of its own that the node is cut off. Such a leader is not waited for when it misses a renewal: it
  // could not write either; should it, it learns that it was replaced within a retry period. Any thread; may be empty.
  std::function<bool(const std::string& node)> is_doubted = {};
  std::function<void(std::int64_t transitions)> on_started = {};  // we lead; the number fences off earlier leaders
  std::function<void()> on_lost = {};  // we do not lead any more (not called after a stop()); the process should end
  std::function<void(const std::string& holder)> on_new_leader = {};  // may be empty; ours included
  std::function<void(const ApiError& error)> on_error = {};           // a failed attempt, for the log; may be empty
  // Releases the lease, when the other client may have been stopped by then; borrowed. Null: the same client does.
  Client* release_client = nullptr;
  std::uint32_t seed = std::random_device{}();
};

// A client for the elector alone: one that hangs or repeats must not outlast the renew deadline.
ClientOptions client_options_for(const LeaseTimes& times, ClientOptions options);

// Callbacks run on the elector's thread and must return soon: renewal waits for them.
class LeaderElector {
 public:
  // Starts at once. `client` is borrowed. Throws kInvalidArgument unless duration > renew_deadline >= 2 retry_period.
  LeaderElector(Client& client, LeaderElectionOptions options);
  ~LeaderElector();  // stops

  LeaderElector(const LeaderElector&) = delete;
  LeaderElector& operator=(const LeaderElector&) = delete;

  // True while we may write. Turns false by itself when renewal has failed for renew_deadline, even while a request
  // hangs: every write path asks here.
  bool is_leader() const;
  std::int64_t transitions() const;  // of the lease we hold
  std::string holder() const;        // as last seen; empty when nobody or not known
  void stop();                       // releases the lease when we hold it, so that another can take over at once

 private:
  using Clock = std::chrono::steady_clock;

  void run(std::stop_token stop);
  bool attempt();  // one try to get or renew; true when we hold the lease afterwards
  bool try_lease();
  void observe(const std::optional<LeaseRecord>& record);
  LeaseRecord write_lease(LeaseAction action);
  bool is_holder_doubted() const;
  void wait(bool leading, const std::stop_token& stop);
  void release();
  void write_release(Client& client, const std::string& resource_version);
  void set_leading_until(std::optional<Clock::time_point> until);

  Client& client_;
  const LeaderElectionOptions options_;
  std::mt19937 random_;
  bool record_fresh_ = false;          // elector's thread: record_ is what we wrote last, no need to read it again
  std::optional<LeaseRecord> record_;  // elector's thread
  Clock::time_point observed_at_;      // elector's thread
  Clock::time_point looked_at_;        // elector's thread: when we last knew what is stored
  mutable std::mutex mutex_;
  std::optional<Clock::time_point> leading_until_;
  std::int64_t transitions_ = 0;
  std::string holder_;
  std::jthread thread_;
};

}  // namespace millrace::controller::kube
