#include "operator/kube/work_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace millrace::controller::kube {
namespace {

using namespace std::chrono_literals;

const ObjectKey kA{"ns", "a"};
const ObjectKey kB{"ns", "b"};
const ObjectKey kC{"ns", "c"};

class WorkQueueTest : public ::testing::Test {
 protected:
  std::chrono::steady_clock::time_point now_{1000s};
  WorkQueue queue_{WorkQueueOptions{.now = [this] { return now_; }}};

  // Takes and finishes everything that is due.
  std::vector<std::string> drain() {
    std::vector<std::string> names;
    while (const auto key = queue_.try_get()) {
      names.push_back(key->name);
      queue_.done(*key);
    }
    return names;
  }
};

TEST_F(WorkQueueTest, HandsOutEachKeyOnceHoweverOftenItWasAdded) {
  for (int i = 0; i < 5; ++i) queue_.add(kA);
  queue_.add(kB);
  EXPECT_EQ(queue_.depth(), 2U);
  EXPECT_THAT(drain(), ::testing::ElementsAre("a", "b"));
}

TEST_F(WorkQueueTest, KeepsAKeyBackWhileAWorkerHasIt) {
  queue_.add(kA);
  ASSERT_EQ(queue_.try_get(), kA);
  queue_.add(kA);
  queue_.add(kA);
  EXPECT_EQ(queue_.try_get(), std::nullopt);
  queue_.done(kA);
  EXPECT_EQ(queue_.try_get(), kA);
  queue_.done(kA);
  EXPECT_EQ(queue_.try_get(), std::nullopt);
}

TEST_F(WorkQueueTest, LetsUserEditsOvertakeResyncs) {
  queue_.add(kA, Priority::kLow);
  queue_.add(kB, Priority::kLow);
  queue_.add(kC, Priority::kHigh);
  queue_.add(kB, Priority::kHigh);
  queue_.add(kC, Priority::kLow);  // does not sink again
  EXPECT_THAT(drain(), ::testing::ElementsAre("c", "b", "a"));
}

TEST_F(WorkQueueTest, LetsWhatFailsWhileItWaitsOvertakeEdits) {
  queue_.add(kA, Priority::kHigh);
  queue_.add(kB, Priority::kLow);
  queue_.add(kC, Priority::kHigh);
  queue_.add(kB, Priority::kUrgent);
  EXPECT_THAT(drain(), ::testing::ElementsAre("b", "a", "c"));
}

TEST_F(WorkQueueTest, ReturnsAKeyEditedDuringWorkAtTheHigherPriority) {
  queue_.add(kA);
  ASSERT_EQ(queue_.try_get(), kA);
  queue_.add(kA, Priority::kLow);
  queue_.add(kA, Priority::kHigh);
  queue_.add(kB, Priority::kLow);
  queue_.done(kA);
  EXPECT_THAT(drain(), ::testing::ElementsAre("a", "b"));
}

TEST_F(WorkQueueTest, DelaysUntilTheEarliestTimeAskedFor) {
  queue_.add_after(kA, 10s);
  queue_.add_after(kA, 3s);
  queue_.add_after(kA, 7s);
  EXPECT_EQ(queue_.delayed(), 1U);
  now_ += 2999ms;
  EXPECT_THAT(drain(), ::testing::IsEmpty());
  now_ += 1ms;
  EXPECT_THAT(drain(), ::testing::ElementsAre("a"));
  now_ += 60s;
  EXPECT_THAT(drain(), ::testing::IsEmpty());
}

TEST_F(WorkQueueTest, DoublesEachKeysOwnBackOffUntilForgotten) {
  const auto delay_of = [&](const ObjectKey& key) {
    queue_.add_rate_limited(key);
    const auto delay = *queue_.next_due() - now_;
    now_ += delay;
    drain();
    return delay;
  };
  EXPECT_EQ(delay_of(kA), 5ms);
  EXPECT_EQ(delay_of(kA), 10ms);
  EXPECT_EQ(delay_of(kA), 20ms);
  EXPECT_EQ(delay_of(kB), 5ms);
  EXPECT_EQ(queue_.retries(kA), 3);
  for (int i = 0; i < 40; ++i) delay_of(kA);
  EXPECT_EQ(delay_of(kA), 1000s);
  queue_.forget(kA);
  EXPECT_EQ(delay_of(kA), 5ms);
}

TEST(WorkQueueRetries, OfOneKeyAreSoonAndOfManyNotTooMany) {
  const auto longest_delay = [](int others) {
    WorkQueue::Clock::time_point now{1000s};
    WorkQueue queue({.retry_limit = 5s, .retry_spacing = 30ms, .now = [&] { return now; }});
    for (int i = 0; i < others; ++i) queue.add_rate_limited({"ns", "other-" + std::to_string(i)});
    now += 1s;
    while (const auto key = queue.try_get()) queue.done(*key);
    WorkQueue::Clock::duration delay{0};
    for (int failures = 0; failures < 20; ++failures) {
      queue.add_rate_limited(kA);
      delay = *queue.next_due() - now;
      now += delay;
      queue.done(*queue.try_get());
    }
    return delay;
  };
  EXPECT_EQ(longest_delay(0), 5s);
  EXPECT_EQ(longest_delay(999), 30s);
}

TEST_F(WorkQueueTest, TellsHowLongWorkTakes) {
  queue_.add(kA);
  queue_.add(kB);
  queue_.try_get();
  now_ += 2s;
  queue_.try_get();
  now_ += 1s;
  EXPECT_DOUBLE_EQ(queue_.unfinished_work().count(), 4.0);
  EXPECT_DOUBLE_EQ(queue_.longest_processor().count(), 3.0);
}

TEST_F(WorkQueueTest, TakesNothingMoreAfterShutDown) {
  queue_.add(kA);
  queue_.shut_down();
  queue_.add(kB);
  EXPECT_EQ(queue_.get(), std::nullopt);
  EXPECT_EQ(queue_.try_get(), std::nullopt);
}

TEST(WorkQueueThreads, WakeForAnEarlierTimeAndForShutDown) {
  WorkQueue queue;
  queue.add_after(kA, 10min);
  std::optional<ObjectKey> got;
  std::optional<ObjectKey> after_shut_down = kC;
  std::thread worker([&] {
    got = queue.get();
    queue.done(*got);
    after_shut_down = queue.get();
  });
  queue.add_after(kB, 1ms);
  while (queue.depth() + queue.delayed() > 1) std::this_thread::yield();
  queue.shut_down();
  worker.join();
  EXPECT_EQ(got, kB);
  EXPECT_EQ(after_shut_down, std::nullopt);
}

TEST(WorkQueueThreads, EndAWaitWhenStopped) {
  WorkQueue queue;
  std::stop_source source;
  std::thread stopper([&] { source.request_stop(); });
  EXPECT_EQ(queue.get(source.get_token()), std::nullopt);
  stopper.join();
}

TEST(WorkQueueThreads, NeverGiveOneKeyToTwoWorkers) {
  WorkQueue queue;
  std::array<std::atomic<int>, 4> inside{};
  std::atomic<int> collisions = 0;
  std::atomic<int> handled = 0;
  std::vector<std::thread> workers;
  for (int w = 0; w < 4; ++w) {
    workers.emplace_back([&] {
      while (const auto key = queue.get()) {
        auto& slot = inside[static_cast<std::size_t>(key->name[0] - 'a')];
        if (slot.fetch_add(1) != 0) ++collisions;
        ++handled;
        slot.fetch_sub(1);
        queue.done(*key);
      }
    });
  }
  for (int i = 0; i < 4000; ++i) queue.add({"", std::string(1, static_cast<char>('a' + i % 4))});
  while (queue.depth() > 0) std::this_thread::yield();
  queue.shut_down();
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(collisions, 0);
  EXPECT_GE(handled, 4);
}

}  // namespace
}  // namespace millrace::controller::kube
