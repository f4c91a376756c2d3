#include "agent/admission.h"

#include <gtest/gtest.h>

#include <thread>

namespace millrace::agent {
namespace {

constexpr std::chrono::seconds kLong{60};

bool lets_in(Admission& admission) {
  return std::holds_alternative<std::shared_ptr<Admission::Ticket>>(admission.enter());
}

TEST(Admission, TakesWhatComesLateToADrain) {
  Admission admission(1);
  admission.drain({kLong, kLong});
  EXPECT_TRUE(admission.draining());
  EXPECT_TRUE(admission.accepting());
  EXPECT_TRUE(lets_in(admission));
}

TEST(Admission, GoesOnTakingRequestsAsLongAsSomeComeLate) {
  constexpr std::chrono::milliseconds kQuiet{200};
  Admission admission(1);
  const auto begin = std::chrono::steady_clock::now();
  admission.drain({kQuiet, kLong});
  auto last = begin;
  while (last < begin + 3 * kQuiet) {
    const auto now = std::chrono::steady_clock::now();
    if (lets_in(admission)) {
      last = now;
      continue;
    }
    ASSERT_GE(std::chrono::steady_clock::now() - last, kQuiet);
    GTEST_SKIP() << "this machine let the test wait for too long";
  }
  while (admission.accepting()) std::this_thread::yield();
  EXPECT_GE(std::chrono::steady_clock::now() - last, kQuiet);
  EXPECT_FALSE(lets_in(admission));
}

TEST(Admission, TakesLateRequestsForALimitedTimeOnly) {
  Admission admission(1);
  const auto begin = std::chrono::steady_clock::now();
  admission.drain({kLong, std::chrono::milliseconds(20)});
  while (lets_in(admission)) ASSERT_LT(std::chrono::steady_clock::now(), begin + kLong);
  EXPECT_FALSE(admission.accepting());
}

TEST(Admission, StaysShutOnceItIs) {
  Admission admission(1);
  admission.drain({kLong, kLong});
  admission.drain();
  EXPECT_FALSE(lets_in(admission));
  EXPECT_FALSE(admission.accepting());
  admission.drain({kLong, kLong});
  EXPECT_FALSE(lets_in(admission));
}

}  // namespace
}  // namespace millrace::agent
