#include "common/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>

namespace millrace::common {
namespace {

TEST(WorkerPool, RunsEverythingThatWasQueuedBeforeItEnds) {
  std::atomic<int> ran{0};
  {
    WorkerPool pool(2);
    for (int i = 0; i < 100; ++i) pool.post([&ran] { ++ran; });
  }
  EXPECT_EQ(ran, 100);
}

TEST(WorkerPool, RefusesJobsAboveTheLimit) {
  std::promise<void> release;
  std::promise<void> started;
  WorkerPool pool(1);
  pool.post([&, waiting = release.get_future().share()] {
    started.set_value();
    waiting.wait();
  });
  started.get_future().wait();
  EXPECT_TRUE(pool.try_post([] {}, 1));
  EXPECT_FALSE(pool.try_post([] {}, 1));
  release.set_value();
}

TEST(WorkerPool, SurvivesAJobThatThrows) {
  std::promise<void> ran;
  WorkerPool pool(1);
  pool.post([] { throw std::runtime_error("boom"); });
  pool.post([&ran] { ran.set_value(); });
  ran.get_future().wait();
}

}  // namespace
}  // namespace millrace::common
