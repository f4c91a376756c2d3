#include "operator/plan/canary_window.h"

#include <gtest/gtest.h>

namespace millrace::controller {
namespace {

common::AgentLoad load(std::uint64_t finished, std::uint64_t failed, std::uint64_t fast, std::uint64_t slow = 0) {
  common::AgentLoad result;
  result.finished = finished;
  result.failed = failed;
  result.first_token.observe(0.1, fast);
  result.first_token.observe(10, slow);
  result.inter_token.observe(0.01, fast);
  return result;
}

TEST(CanaryWindow, CountsNothingOfTheTimeBefore) {
  CanaryWindow window;
  window.read("stable", false, load(1000, 10, 900));
  EXPECT_EQ(window.samples().stable.requests, 0U);
  EXPECT_EQ(total(window.samples().stable.first_token), 0U);
}

TEST(CanaryWindow, AddsUpTheGrowthOfEachRevision) {
  CanaryWindow window;
  window.read("s1", false, load(1000, 10, 900));
  window.read("s2", false, load(0, 0, 0));
  window.read("u1", true, load(5, 0, 5));
  window.read("s1", false, load(1100, 12, 950));
  window.read("s2", false, load(40, 0, 30, 10));
  window.read("u1", true, load(25, 4, 15));
  window.read("u1", true, load(65, 5, 45));
  const CanarySamples samples = window.samples();
  EXPECT_EQ(samples.stable.requests, 140U);
  EXPECT_EQ(samples.stable.failed, 2U);
  EXPECT_EQ(total(samples.stable.first_token), 90U);
  EXPECT_EQ(total(samples.stable.inter_token), 80U);
  EXPECT_EQ(samples.update.requests, 60U);
  EXPECT_EQ(samples.update.failed, 5U);
  EXPECT_EQ(total(samples.update.first_token), 40U);
}

TEST(CanaryWindow, CountsAProcessThatBeganAnewFromItsStart) {
  CanaryWindow window;
  window.read("u", true, load(100, 0, 100));
  window.read("u", true, load(130, 1, 130));
  window.read("u", true, load(20, 2, 10, 10));
  window.read("u", true, load(30, 2, 15, 15));
  const CanarySamples samples = window.samples();
  EXPECT_EQ(samples.update.requests, 60U);
  EXPECT_EQ(samples.update.failed, 3U);
  EXPECT_EQ(total(samples.update.first_token), 60U);
}

}  // namespace
}  // namespace millrace::controller
