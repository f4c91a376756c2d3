#include "operator/kube/watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <set>

#include "tests/operator/kube/fake_client.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using Do = WatchStep::Do;
using namespace std::chrono_literals;

WatchOutcome failed(Code code, int status, std::optional<std::chrono::milliseconds> retry_after = std::nullopt) {
  return {code == Code::kGone ? WatchEnd::kExpired : WatchEnd::kFailed, ApiError(code, status, "", "m", retry_after)};
}

const WatchOutcome kClosed{WatchEnd::kClosed, std::nullopt};

class ListWatchTest : public ::testing::Test {
 protected:
  ListWatch::TimePoint now_{1000s};
  ListWatch machine_{42};
};

TEST_F(ListWatchTest, ListsFirstAndWatchesFromTheListedVersion) {
  EXPECT_EQ(machine_.start().what, Do::kList);
  const WatchStep step = machine_.listed("10", now_);
  EXPECT_EQ(step.what, Do::kWatch);
  EXPECT_EQ(step.resource_version, "10");
  EXPECT_EQ(step.delay, 0ms);
}

TEST_F(ListWatchTest, DrawsTheTimeOutFromFiveToTenMinutes) {
  std::set<std::chrono::seconds> seen;
  for (int i = 0; i < 500; ++i) {
    const auto timeout = machine_.listed("1", now_).timeout;
    EXPECT_GE(timeout, 300s);
    EXPECT_LT(timeout, 600s);
    seen.insert(timeout);
  }
  EXPECT_GT(seen.size(), 100U);
}

TEST_F(ListWatchTest, DecidesByHowTheWatchEnded) {
  const struct {
    const char* name;
    WatchOutcome outcome;
    std::chrono::milliseconds lasted;
    bool event_came;
    Do what;
    bool at_once;
  } rows[] = {
      {"time-out of the server", kClosed, 300s, false, Do::kWatch, true},
      {"closed soon, but after events", kClosed, 10ms, true, Do::kWatch, true},
      {"closed soon without anything", kClosed, 10ms, false, Do::kWatch, false},
      {"version expired", failed(Code::kGone, 410), 1s, false, Do::kList, false},
      {"connection lost", failed(Code::kUnavailable, 0), 60s, true, Do::kWatch, false},
      {"internal error in the stream", failed(Code::kUnavailable, 500), 1s, false, Do::kWatch, false},
      {"half-open", failed(Code::kDeadlineExceeded, 0), 150s, false, Do::kWatch, false},
      {"busy", failed(Code::kResourceExhausted, 429), 0s, false, Do::kWatch, false},
      {"garbage", failed(Code::kDataLoss, 0), 1s, true, Do::kList, false},
      {"forbidden", failed(Code::kPermissionDenied, 403), 0s, false, Do::kList, false},
      {"kind removed", failed(Code::kNotFound, 404), 0s, false, Do::kList, false},
  };
  for (const auto& row : rows) {
    ListWatch machine(7);
    machine.listed("10", now_);
    if (row.event_came) machine.saw_event("11");
    const WatchStep step = machine.watch_ended(row.outcome, row.lasted, now_);
    EXPECT_EQ(step.what, row.what) << row.name;
    EXPECT_EQ(step.delay == 0ms, row.at_once) << row.name;
    const std::string resumes_at = row.event_came ? "11" : "10";
    EXPECT_EQ(step.resource_version, row.what == Do::kWatch ? resumes_at : "") << row.name;
  }
}

TEST_F(ListWatchTest, ResumesAfterABookmark) {
  machine_.listed("10", now_);
  machine_.saw_event("95");
  EXPECT_EQ(machine_.watch_ended(kClosed, 300s, now_).resource_version, "95");
}

TEST_F(ListWatchTest, WaitsAsLongAsABusyServerAsks) {
  machine_.listed("10", now_);
  EXPECT_EQ(machine_.watch_ended(failed(Code::kResourceExhausted, 429, 77s), 0s, now_).delay, 77s);
  EXPECT_EQ(machine_.list_failed(ApiError(Code::kResourceExhausted, 429, "", "m", 99s), now_).delay, 99s);
}

TEST_F(ListWatchTest, BacksOffFromEightHundredMillisecondsToThreeSecondsWithJitter) {
  const std::chrono::milliseconds bases[] = {800ms, 1600ms, 3s, 3s};
  for (const auto base : bases) {
    const WatchStep step = machine_.list_failed(ApiError(Code::kUnavailable, 0, "", "m"), now_);
    EXPECT_EQ(step.what, Do::kList);
    EXPECT_GE(step.delay, base);
    EXPECT_LE(step.delay, 2 * base);
    now_ += step.delay;
  }
  now_ += 2min;
  EXPECT_LE(machine_.list_failed(ApiError(Code::kUnavailable, 0, "", "m"), now_).delay, 1600ms);
}

TEST_F(ListWatchTest, ListsAgainWhenNoWatchFromAVersionEverWorks) {
  machine_.listed("10", now_);
  std::vector<Do> steps;
  for (int i = 0; i < 5; ++i) steps.push_back(machine_.watch_ended(failed(Code::kUnavailable, 500), 0s, now_).what);
  EXPECT_THAT(steps, ::testing::ElementsAre(Do::kWatch, Do::kWatch, Do::kWatch, Do::kWatch, Do::kList));
}

TEST_F(ListWatchTest, KeepsResumingAsLongAsEventsCome) {
  machine_.listed("10", now_);
  for (int i = 0; i < 20; ++i) {
    machine_.saw_event("1" + std::to_string(i));
    EXPECT_EQ(machine_.watch_ended(failed(Code::kUnavailable, 0), 1s, now_).what, Do::kWatch);
  }
}

Object pod(const std::string& name, int version) {
  Object object(kPod, {"ns", name});
  object.json()["metadata"]["resourceVersion"] = std::to_string(version);
  object.json()["metadata"]["uid"] = "uid-" + name;
  return object;
}

// Collects what an informer tells.
class Log {
 public:
  Informer::Handler handler() {
    return [this](const Change& change) {
      const std::lock_guard lock(mutex_);
      const char mark = change.type == Change::Type::kAdded ? '+' : change.type == Change::Type::kDeleted ? '-' : '~';
      entries_.push_back(mark + change.object().name());
      changed_.notify_all();
    };
  }
  std::vector<std::string> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 10s, [&] { return entries_.size() >= count; });
    return entries_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> entries_;
};

void wait_for_stop(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait(lock, stop, [] { return false; });
}

TEST(Informer, KeepsItsStoreEqualToListAndEvents) {
  testing::FakeClient client;
  client.on_list = [](const ListOptions&) { return ListResult{{pod("a", 1), pod("b", 2)}, "2"}; };
  client.on_watch = [](const WatchOptions& options, const WatchHandler& handler, const std::stop_token& stop) {
    EXPECT_EQ(options.resource_version, "2");
    handler({EventType::kModified, pod("a", 3)});
    handler({EventType::kDeleted, pod("b", 4)});
    handler({EventType::kBookmark, pod("", 9)});
    handler({EventType::kAdded, pod("c", 10)});
    wait_for_stop(stop);
    return WatchOutcome{WatchEnd::kStopped, std::nullopt};
  };
  Log log;
  Informer informer(client, {.kind = kPod, .ns = "ns"}, log.handler());
  EXPECT_TRUE(informer.wait_synced(10s));
  EXPECT_THAT(log.wait_for(5), ::testing::ElementsAre("+a", "+b", "~a", "-b", "+c"));
  EXPECT_EQ(informer.store().size(), 2U);
  EXPECT_EQ(informer.store().get({"ns", "a"})->resource_version(), "3");
  informer.stop();
  EXPECT_EQ(informer.stats().events, 4U);
}

TEST(Informer, IsNotMisledByEventsThatComeTwiceOrLate) {
  testing::FakeClient client;
  client.on_list = [](const ListOptions&) { return ListResult{{pod("a", 1), pod("b", 2)}, "2"}; };
  client.on_watch = [](const WatchOptions&, const WatchHandler& handler, const std::stop_token& stop) {
    handler({EventType::kModified, pod("a", 5)});
    handler({EventType::kModified, pod("a", 3)});  // late
    handler({EventType::kModified, pod("b", 4)});  // late, and news all the same
    handler({EventType::kDeleted, pod("a", 6)});
    handler({EventType::kDeleted, pod("a", 6)});
    handler({EventType::kAdded, pod("c", 7)});
    wait_for_stop(stop);
    return WatchOutcome{WatchEnd::kStopped, std::nullopt};
  };
  Log log;
  Informer informer(client, {.kind = kPod}, log.handler());
  EXPECT_THAT(log.wait_for(6), ::testing::ElementsAre("+a", "+b", "~a", "~b", "-a", "+c"));
}

TEST(Informer, ListsAgainWhenALateEventIsOfAnObjectThatIsNotThere) {
  testing::FakeClient client;
  std::atomic<int> lists = 0;
  client.on_list = [&](const ListOptions&) {
    return lists++ == 0 ? ListResult{{pod("a", 1)}, "1"} : ListResult{{pod("b", 9)}, "9"};
  };
  client.on_watch = [](const WatchOptions& options, const WatchHandler& handler, const std::stop_token& stop) {
    if (options.resource_version == "1") {
      handler({EventType::kDeleted, pod("a", 5)});
      handler({EventType::kModified, pod("a", 3)});
    }
    wait_for_stop(stop);
    return WatchOutcome{WatchEnd::kStopped, std::nullopt};
  };
  Log log;
  Informer informer(client, {.kind = kPod}, log.handler());
  EXPECT_THAT(log.wait_for(3), ::testing::ElementsAre("+a", "-a", "+b"));
}

TEST(Informer, ListsAgainAfterExpiryAndReportsWhatItMissed) {
  testing::FakeClient client;
  std::atomic<int> lists = 0;
  client.on_list = [&](const ListOptions&) {
    return lists++ == 0 ? ListResult{{pod("a", 1)}, "1"} : ListResult{{pod("b", 50)}, "50"};
  };
  client.on_watch = [&](const WatchOptions& options, const WatchHandler&, const std::stop_token& stop) {
    if (options.resource_version == "1") return failed(Code::kGone, 410);
    wait_for_stop(stop);
    return WatchOutcome{WatchEnd::kStopped, std::nullopt};
  };
  Log log;
  std::atomic<int> errors = 0;
  Informer informer(client, {.kind = kPod}, log.handler(), [&](const ApiError&) { ++errors; });
  EXPECT_THAT(log.wait_for(3), ::testing::ElementsAre("+a", "+b", "-a"));
  EXPECT_EQ(errors, 1);
}

TEST(Informer, TakesAListThatIsPacked) {
  testing::FakeClient client;
  client.on_list = [](const ListOptions& options) {
    EXPECT_TRUE(options.pack);
    return ListResult{{}, "1", {pack(Object(kPod, {"ns", "a"})), pack(Object(kPod, {"ns", "b"}))}};
  };
  client.on_watch = [&](const WatchOptions&, const WatchHandler&, const std::stop_token& stop) {
    wait_for_stop(stop);
    return WatchOutcome{WatchEnd::kStopped, std::nullopt};
  };
  Log log;
  Informer informer(client, {.kind = kPod}, log.handler());
  EXPECT_THAT(log.wait_for(2), ::testing::ElementsAre("+a", "+b"));
}

TEST(Informer, IsNotSyncedWhileTheListFailsAndStopsInTheBackOff) {
  testing::FakeClient client;
  client.on_list = [](const ListOptions&) -> ListResult {
    throw ApiError(Code::kPermissionDenied, 403, "Forbidden", "list pods: 403 forbidden", 10min);
  };
  Log log;
  std::promise<std::string> told;
  Informer informer(client, {.kind = kPod}, log.handler(),
                    [&](const ApiError& error) { told.set_value(error.what()); });
  EXPECT_EQ(told.get_future().get(), "list pods: 403 forbidden");
  EXPECT_FALSE(informer.synced());
  informer.stop();
  EXPECT_FALSE(informer.wait_synced(10s));
  EXPECT_EQ(informer.stats().last_error, "list pods: 403 forbidden");
}

TEST(Informer, SurvivesAWatchThatThrows) {
  testing::FakeClient client;
  std::atomic<int> watches = 0;
  client.on_list = [](const ListOptions&) { return ListResult{{}, "1"}; };
  client.on_watch = [&](const WatchOptions&, const WatchHandler& handler, const std::stop_token& stop) -> WatchOutcome {
    if (watches++ == 0) throw common::Error(Code::kUnauthenticated, "token file cannot be read");
    handler({EventType::kAdded, pod("a", 2)});
    wait_for_stop(stop);
    return {WatchEnd::kStopped, std::nullopt};
  };
  Log log;
  Informer informer(client, {.kind = kPod}, log.handler());
  EXPECT_THAT(log.wait_for(1), ::testing::ElementsAre("+a"));
}

}  // namespace
}  // namespace millrace::controller::kube
