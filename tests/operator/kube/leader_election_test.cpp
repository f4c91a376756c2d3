#include "operator/kube/leader_election.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <random>

#include "tests/operator/kube/fake_client.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using namespace std::chrono_literals;

const ObjectKey kLeaseKey{"millrace-system", "operator"};

TEST(LeaderDecision, FollowsTheRecordAndOurOwnClock) {
  const std::chrono::steady_clock::time_point seen{1000s};
  const auto held_by = [](const std::string& holder) { return LeaseRecord{holder, "5", 3, 15s}; };
  const struct {
    const char* name;
    std::optional<LeaseRecord> record;
    std::chrono::milliseconds since_seen;
    LeaseAction action;
  } rows[] = {
      {"no lease", std::nullopt, 0s, LeaseAction::kCreate},
      {"released", held_by(""), 0s, LeaseAction::kTake},
      {"ours", held_by("me"), 0s, LeaseAction::kRenew},
      {"ours, long ago", held_by("me"), 1h, LeaseAction::kRenew},
      {"another's, fresh", held_by("other"), 0s, LeaseAction::kWait},
      {"another's, almost run out", held_by("other"), 14999ms, LeaseAction::kWait},
      {"another's, run out", held_by("other"), 15s, LeaseAction::kTake},
  };
  for (const auto& row : rows) EXPECT_EQ(decide(row.record, seen, "me", seen + row.since_seen), row.action) << row.name;
}

// How long after the last version of the record was written a candidate that looks now and then may lead. Its last look
// before was anywhere within a pause.
std::chrono::milliseconds time_to_take(const LeaseRecord& last, std::mt19937& random) {
  const LeaseTimes times;
  const std::chrono::steady_clock::time_point written{1000s};
  const std::int64_t pause = candidate_pause(times, random).count();
  const auto seen = written + std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(0, pause)(random));
  auto now = seen;
  while (decide(last, seen, "heir", now) != LeaseAction::kTake) now += candidate_pause(times, random);
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - written);
}

TEST(LeaderTimes, LetAnotherLeadWithin16SecondsOfADeathAndWithin2OfARelease) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    EXPECT_LE(time_to_take({"dead", "5", 3, LeaseTimes{}.duration}, random), 15s) << "killed as it had renewed";
    EXPECT_LE(time_to_take({"", "6", 3, 1s}, random), 1s) << "the rest is for the first write";
  }
}

TEST(LeaderTimes, ARenewalFoundLateIsAsOldAsItsHolderSays) {
  const std::chrono::steady_clock::time_point seen{1000s};
  const std::chrono::steady_clock::time_point now = seen + 30s;
  const std::chrono::system_clock::time_point clock{5'000'000s};
  const LeaseRecord before{"a", "5", 3, 12s, "", clock};
  const struct {
    const char* name;
    LeaseRecord found;
    std::chrono::steady_clock::time_point expected;
  } rows[] = {
      {"just before we could not look", {"a", "6", 3, 12s, "", clock + 1s}, seen + 1s},
      {"meanwhile", {"a", "9", 3, 12s, "", clock + 28s}, seen + 28s},
      {"its clock is fast", {"a", "9", 3, 12s, "", clock + 1h}, now},
      {"its clock was set back", {"a", "9", 3, 12s, "", clock - 1s}, now},
      {"another holder", {"b", "9", 4, 12s, "", clock + 1s}, now},
      {"the same holder, again", {"a", "9", 5, 12s, "", clock + 1s}, now},
      {"no time", {"a", "9", 3, 12s}, now},
  };
  for (const auto& row : rows) EXPECT_EQ(renewed_by(before, seen, row.found, now), row.expected) << row.name;
  EXPECT_EQ(renewed_by({"a", "5", 3, 12s}, seen, before, now), now) << "no time before";
}

TEST(LeaderElector, RefusesTimesThatCouldMakeTwoLeaders) {
  testing::FakeClient client;
  for (const LeaseTimes times : {LeaseTimes{10s, 10s, 2s}, LeaseTimes{15s, 10s, 9s}, LeaseTimes{15s, 10s, 0s}}) {
    EXPECT_THROW(LeaderElector(client, {.lease = kLeaseKey, .identity = "me", .times = times}), common::Error);
  }
  EXPECT_THROW(LeaderElector(client, {.lease = kLeaseKey, .identity = ""}), common::Error);
}

// One Lease with optimistic concurrency, as the API server keeps it.
class LeaseServer {
 public:
  LeaseServer() {
    client.on_get = [this](const ObjectKey&) {
      const std::lock_guard lock(mutex_);
      refuse_if_away();
      return lease_;
    };
    client.on_create = [this](const Object& object) {
      const std::lock_guard lock(mutex_);
      refuse_if_away();
      if (lease_) throw ApiError(Code::kAlreadyExists, 409, "AlreadyExists", "exists");
      return store(object);
    };
    client.on_patch = [this](const ObjectKey&, const Json& patch) {
      const std::lock_guard lock(mutex_);
      refuse_if_away();
      if (patch.at("metadata").at("resourceVersion") != lease_->resource_version()) {
        throw ApiError(Code::kConflict, 409, "Conflict", "changed");
      }
      Object next = *lease_;
      next.json().merge_patch(patch);
      return store(next);
    };
  }

  void go_away(bool away) { away_ = away; }
  Object lease() {
    const std::lock_guard lock(mutex_);
    return *lease_;
  }
  // Somebody else writes the lease.
  void hand_to(const std::string& holder) {
    const std::lock_guard lock(mutex_);
    Object next = *lease_;
    next.json()["spec"]["holderIdentity"] = holder;
    store(next);
  }

  // For a second, to a holder that does nothing any more; `renewed`: by its clock.
  void give_to_the_dead(const std::string& renewed) {
    Object lease(kLease, kLeaseKey);
    lease.json()["spec"] = {
        {"holderIdentity", "dead"}, {"leaseDurationSeconds", 1}, {"leaseTransitions", 4}, {"renewTime", renewed}};
    client.create(kLease, lease);
  }
  // The holder does.
  void renew(const std::string& time) {
    const std::lock_guard lock(mutex_);
    Object next = *lease_;
    next.json()["spec"]["renewTime"] = time;
    store(next);
  }

  testing::FakeClient client;

 private:
  void refuse_if_away() const {
    if (away_) throw ApiError(Code::kUnavailable, 503, "", "away");
  }
  Object store(Object object) {
    object.json()["metadata"]["resourceVersion"] = std::to_string(++version_);
    lease_ = object;
    return object;
  }

  std::atomic<bool> away_ = false;
  std::mutex mutex_;
  std::optional<Object> lease_;
  int version_ = 0;
};

class Counter {
 public:
  void add() {
    const std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  bool reaches(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, [&] { return count_ >= count; });
  }
  int count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

// Long enough that a busy machine loses no lease by accident.
constexpr LeaseTimes kPatient{60s, 50s, 20ms};

LeaderElectionOptions candidate(const std::string& name, Counter& started, Counter& lost) {
  LeaderElectionOptions options;
  options.lease = kLeaseKey;
  options.identity = name;
  options.times = kPatient;
  options.on_started = [&](std::int64_t) { started.add(); };
  options.on_lost = [&] { lost.add(); };
  return options;
}

TEST(LeaderElector, LeadsAloneAndReleasesWhenStopped) {
  LeaseServer server;
  Counter started;
  Counter lost;
  LeaderElector elector(server.client, candidate("a", started, lost));
  ASSERT_TRUE(started.reaches(1));
  EXPECT_TRUE(elector.is_leader());
  EXPECT_EQ(elector.holder(), "a");
  elector.stop();
  EXPECT_FALSE(elector.is_leader());
  EXPECT_EQ(lost.count(), 0);
  EXPECT_EQ(server.lease().string_at("/spec/holderIdentity"), "");
  EXPECT_EQ(server.lease().int_at("/spec/leaseDurationSeconds"), 1);
}

TEST(LeaderElector, ReleasesThroughTheOtherClientWhenItsOwnWasStopped) {
  LeaseServer server;
  testing::FakeClient stopped = server.client;
  std::atomic<bool> shutdown = false;
  const auto while_running = [&](auto call) {
    return [&shutdown, call](auto&&... arguments) {
      if (shutdown) throw ApiError(Code::kCancelled, 0, "", "stopped");
      return call(std::forward<decltype(arguments)>(arguments)...);
    };
  };
  stopped.on_get = while_running(stopped.on_get);
  stopped.on_patch = while_running(stopped.on_patch);
  Counter started;
  Counter lost;
  LeaderElectionOptions options = candidate("a", started, lost);
  options.release_client = &server.client;
  LeaderElector elector(stopped, options);
  ASSERT_TRUE(started.reaches(1));
  shutdown = true;
  elector.stop();
  EXPECT_EQ(server.lease().string_at("/spec/holderIdentity"), "");
}

// The stop comes while a renewal is on its way: it is stored, and its answer not waited for.
TEST(LeaderElector, ReleasesAlsoAfterARenewalOfWhichItKnowsNothing) {
  LeaseServer server;
  Counter started;
  Counter lost;
  Counter errors;
  auto options = candidate("a", started, lost);
  options.times = {60s, 50s, 1s};
  options.on_error = [&](const ApiError&) { errors.add(); };
  const auto store = server.client.on_patch;
  server.client.on_patch = [&](const ObjectKey& key, const Json& patch) -> Object {
    Object stored = store(key, patch);
    if (errors.count() == 0) throw ApiError(Code::kCancelled, 0, "", "stopped");
    return stored;
  };
  LeaderElector elector(server.client, options);
  ASSERT_TRUE(errors.reaches(1));
  elector.stop();
  EXPECT_EQ(server.lease().string_at("/spec/holderIdentity"), "");
  EXPECT_EQ(errors.count(), 1);
}

TEST(LeaderElector, HandsOverToTheOtherCandidateOnACleanStop) {
  LeaseServer server;
  Counter a_started;
  Counter b_started;
  Counter lost;
  LeaderElector a(server.client, candidate("a", a_started, lost));
  ASSERT_TRUE(a_started.reaches(1));
  LeaderElector b(server.client, candidate("b", b_started, lost));
  a.stop();
  ASSERT_TRUE(b_started.reaches(1));
  EXPECT_TRUE(b.is_leader());
  EXPECT_EQ(b.transitions(), 1);
}

TEST(LeaderElector, StopsLeadingBeforeAnotherMayTakeOver) {
  LeaseServer server;
  Counter started;
  Counter lost;
  auto options = candidate("a", started, lost);
  options.times = {600ms, 400ms, 20ms};
  LeaderElector elector(server.client, options);
  ASSERT_TRUE(started.reaches(1));
  server.go_away(true);
  ASSERT_TRUE(lost.reaches(1));
  EXPECT_FALSE(elector.is_leader());
  server.go_away(false);
  EXPECT_TRUE(started.reaches(2));  // nobody else came: it may lead again
}

TEST(LeaderElector, RidesOutAShortOutage) {
  LeaseServer server;
  Counter started;
  Counter lost;
  auto options = candidate("a", started, lost);
  Counter errors;
  options.on_error = [&](const ApiError&) { errors.add(); };
  LeaderElector elector(server.client, options);
  ASSERT_TRUE(started.reaches(1));
  server.go_away(true);
  ASSERT_TRUE(errors.reaches(3));
  server.go_away(false);
  EXPECT_TRUE(elector.is_leader());
  EXPECT_EQ(lost.count(), 0);
}

TEST(LeaderElector, YieldsAtOnceWhenAnotherHoldsTheLease) {
  LeaseServer server;
  Counter started;
  Counter lost;
  auto options = candidate("a", started, lost);
  LeaderElector elector(server.client, options);
  ASSERT_TRUE(started.reaches(1));
  server.hand_to("b");
  ASSERT_TRUE(lost.reaches(1));
  EXPECT_FALSE(elector.is_leader());
  EXPECT_EQ(elector.holder(), "b");
}

TEST(LeaderElector, TakesOverFromAHolderThatWentSilent) {
  LeaseServer server;
  // Far in the future: another machine's clock, which must not matter.
  server.give_to_the_dead("2099-01-01T00:00:00.000000Z");
  Counter started;
  Counter lost;
  LeaderElector elector(server.client, candidate("b", started, lost));
  ASSERT_TRUE(started.reaches(1));
  EXPECT_EQ(elector.transitions(), 5);
}

// The leader renews once more after the standby's last look; then nobody reaches the server for longer than a lease
// lasts.
TEST(LeaderElector, DoesNotWaitAfterAnOutageForALeaseThatRanOutInIt) {
  LeaseServer server;
  server.give_to_the_dead("2020-01-01T00:00:00.000000Z");
  std::atomic<int> looks = 0;
  const auto look = server.client.on_get;
  server.client.on_get = [&](const ObjectKey& key) {
    const auto found = look(key);
    ++looks;
    return found;
  };
  Counter started;
  Counter lost;
  Counter seen;
  Counter errors;
  auto options = candidate("b", started, lost);
  options.on_new_leader = [&](const std::string&) { seen.add(); };
  options.on_error = [&](const ApiError&) { errors.add(); };
  LeaderElector elector(server.client, options);
  ASSERT_TRUE(seen.reaches(1));
  server.go_away(true);
  server.renew("2020-01-01T00:00:00.020000Z");
  const int failures = 160;  // with pauses of at least a third of 20 ms: more than a second
  ASSERT_TRUE(errors.reaches(failures));
  looks = 0;
  server.go_away(false);
  ASSERT_TRUE(started.reaches(1));
  EXPECT_EQ(looks, 1) << "the lease ran out long ago";
}

// A leader on a node that is doubted is waited for as long as it renews, and not a minute longer.
TEST(LeaderElector, DoesNotWaitForALeaderThatIsDoubtedAndMissesARenewal) {
  LeaseServer server;
  Counter a_started;
  Counter b_started;
  Counter lost;
  auto leader = candidate("a", a_started, lost);
  leader.node = "node-a";
  LeaderElector a(server.client, leader);
  ASSERT_TRUE(a_started.reaches(1));
  EXPECT_EQ(server.lease().annotation("millrace.dev/node"), "node-a");

  std::atomic<bool> cut_off = false;
  Counter asked;
  testing::FakeClient others = server.client;
  auto standby = candidate("b", b_started, lost);
  standby.times = {60s, 50s, 1500ms};
  standby.node = "node-b";
  standby.is_doubted = [&](const std::string& node) {
    EXPECT_EQ(node, "node-a");
    asked.add();
    return cut_off.load();
  };
  LeaderElector b(others, standby);
  cut_off = true;
  ASSERT_TRUE(asked.reaches(10));
  EXPECT_EQ(b_started.count(), 0) << "it renews, whoever cannot reach its node";
  server.hand_to("dead");  // whose lease stays as it is
  ASSERT_TRUE(b_started.reaches(1));
  EXPECT_EQ(server.lease().string_at("/spec/holderIdentity"), "b");
  EXPECT_EQ(server.lease().annotation("millrace.dev/node"), "node-b");
  EXPECT_TRUE(lost.reaches(1)) << "whoever was replaced stops writing";
  EXPECT_FALSE(a.is_leader());
}

TEST(LeaderElector, NeverHasTwoLeadersUnderContention) {
  LeaseServer server;
  Counter started;
  Counter lost;
  std::vector<std::unique_ptr<LeaderElector>> electors;
  for (const char* name : {"a", "b", "c", "d"}) {
    electors.push_back(std::make_unique<LeaderElector>(server.client, candidate(name, started, lost)));
  }
  for (int round = 1; round <= 4; ++round) {
    ASSERT_TRUE(started.reaches(round));
    int leaders = 0;
    for (const auto& elector : electors) leaders += elector->is_leader() ? 1 : 0;
    EXPECT_LE(leaders, 1);
    std::erase_if(electors, [](const auto& elector) { return elector->is_leader(); });
  }
}

}  // namespace
}  // namespace millrace::controller::kube
