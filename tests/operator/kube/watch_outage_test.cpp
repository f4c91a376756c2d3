// How soon a cache is right again after the API server was away, in simulated time.
#include <gtest/gtest.h>

#include "operator/kube/watcher.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using Do = WatchStep::Do;
using namespace std::chrono_literals;

struct Outage {
  const char* name;
  ApiError lists;  // how a list fails meanwhile
  WatchOutcome watches;
};

WatchOutcome failure_of(const ApiError& error) {
  return {error.code() == Code::kGone ? WatchEnd::kExpired : WatchEnd::kFailed, error};
}

const ApiError kBusy(Code::kResourceExhausted, 429, "TooManyRequests", "m", 1s);
const ApiError kUnwell(Code::kUnavailable, 503, "ServiceUnavailable", "m");
const ApiError kBroken(Code::kUnavailable, 500, "InternalError", "m");
const ApiError kUnreachable(Code::kUnavailable, 0, "", "m");
const ApiError kExpired(Code::kGone, 410, "Expired", "m");

const Outage kOutages[] = {
    {"429 with Retry-After", kBusy, failure_of(kBusy)},
    {"503", kUnwell, failure_of(kUnwell)},
    {"lists answer 429, watches break", kBusy, failure_of(kBroken)},
    {"no connection", kUnreachable, failure_of(kUnreachable)},
    {"streams end at once", kUnwell, {WatchEnd::kClosed, std::nullopt}},
};

// A watch from before the outage fails as it begins. Returns when the first attempt meets a sound server.
std::chrono::milliseconds first_success(const Outage& outage, std::chrono::seconds length, std::uint32_t seed) {
  ListWatch machine(seed);
  const ListWatch::TimePoint begin{1000s};
  ListWatch::TimePoint now = begin;
  machine.listed("10", now);
  WatchStep step = machine.watch_ended(outage.watches, 100s, now);
  while (true) {
    now += step.delay;
    if (now - begin >= length) return std::chrono::duration_cast<std::chrono::milliseconds>(now - begin - length);
    step =
        step.what == Do::kList ? machine.list_failed(outage.lists, now) : machine.watch_ended(outage.watches, 0s, now);
  }
}

TEST(WatchOutage, OfAMinuteIsNoticedToBeOverWithinSixSeconds) {
  for (const Outage& outage : kOutages) {
    for (std::uint32_t seed = 0; seed < 300; ++seed) {
      ASSERT_LE(first_success(outage, 60s, seed), 6s) << outage.name << ", seed " << seed;
    }
  }
}

TEST(WatchOutage, DoesNotLeadToAStorm) {
  for (const Outage& outage : kOutages) {
    ListWatch machine(1);
    ListWatch::TimePoint now{1000s};
    machine.listed("10", now);
    WatchStep step = machine.watch_ended(outage.watches, 0s, now);
    int attempts = 0;
    for (; now < ListWatch::TimePoint{1060s}; ++attempts) {
      now += step.delay;
      step = step.what == Do::kList ? machine.list_failed(outage.lists, now)
                                    : machine.watch_ended(outage.watches, 0s, now);
    }
    EXPECT_LE(attempts, 20) << outage.name;
  }
}

// Every list succeeds, and every version that it gives is refused as too old.
TEST(WatchOutage, ExpiredVersionsWithoutEndAreAskedForAtAModestRate) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    ListWatch machine(seed);
    const ListWatch::TimePoint begin{1000s};
    ListWatch::TimePoint now = begin;
    int lists = 0;
    while (now - begin < 60s) {
      const WatchStep watch = machine.listed("10", now);
      ++lists;
      now += watch.delay;
      const WatchStep next = machine.watch_ended(failure_of(kExpired), 0s, now);
      ASSERT_EQ(next.what, Do::kList);
      ASSERT_LE(next.delay, 10s) << "seed " << seed;
      now += next.delay;
    }
    EXPECT_LE(lists, 20) << "seed " << seed;
  }
}

}  // namespace
}  // namespace millrace::controller::kube
