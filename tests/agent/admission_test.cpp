#include "agent/admission.h"

#include <gtest/gtest.h>

namespace millrace::agent {
namespace {

constexpr std::chrono::seconds kLong{60};

bool lets_in(Admission& admission) {
  return std::holds_alternative<std::shared_ptr<Admission::Ticket>>(admission.enter());
}

TEST(Admission, TakesWhatComesLateToADrain) {
  Admission admission(1);
  admission.drain(kLong);
  EXPECT_TRUE(admission.draining());
  EXPECT_TRUE(lets_in(admission));
}

TEST(Admission, StaysShutOnceItIs) {
  Admission admission(1);
  admission.drain(kLong);
  admission.drain();
  EXPECT_FALSE(lets_in(admission));
  admission.drain(kLong);
  EXPECT_FALSE(lets_in(admission));
}

}  // namespace
}  // namespace millrace::agent
