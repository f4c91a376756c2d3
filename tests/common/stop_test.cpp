#include "common/stop.h"

#include <gtest/gtest.h>

#include <thread>

namespace millrace::common {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST(SleepUnlessStopped, SleepsToTheEndWithoutAStop) {
  EXPECT_TRUE(sleep_unless_stopped(milliseconds(1), {}));
  const std::stop_source source;
  EXPECT_TRUE(sleep_unless_stopped(milliseconds(1), source.get_token()));
}

TEST(SleepUnlessStopped, EndsWithTheStop) {
  std::stop_source source;
  std::jthread sleeper([&] { EXPECT_FALSE(sleep_unless_stopped(hours(1), source.get_token())); });
  source.request_stop();
  sleeper.join();
  EXPECT_FALSE(sleep_unless_stopped(hours(1), source.get_token()));
}

TEST(EitherStop, FollowsBoth) {
  std::stop_source a;
  std::stop_source b;
  const EitherStop first(a.get_token(), b.get_token());
  const EitherStop none(b.get_token(), {});
  a.request_stop();
  EXPECT_TRUE(first.token().stop_requested());
  EXPECT_FALSE(none.token().stop_requested());
  const EitherStop late({}, a.get_token());
  EXPECT_TRUE(late.token().stop_requested());
  b.request_stop();
  EXPECT_TRUE(none.token().stop_requested());
}

}  // namespace
}  // namespace millrace::common
