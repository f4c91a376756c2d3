#include "cli/rehearsal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.h"

namespace millrace::cli {
namespace {

using controller::Reserve;
using ::testing::HasSubstr;
using ::testing::Not;

RehearsalInput three_zones(int replicas, Reserve reserve = Reserve::kSurgeOnFailure) {
  RehearsalInput input;
  input.deployment = "m";
  input.revision = "r";
  input.spec.replicas = replicas;
  input.spec.failover.reserve = reserve;
  for (const char* zone : {"a", "b", "c"}) input.nodes.push_back({std::string("node-") + zone, zone, true, {}});
  return input;
}

TEST(Rehearsal, ShowsWhatAFailureLeadsToAndTheWayBack) {
  EXPECT_EQ(rehearse_failure(three_zones(3), "a"),
            "Before:\n"
            "  3 of 3 groups serve: a 1 b 1 c 1\n"
            "If zone a fails:\n"
            "  m-r-0 leaves zone a: zone a has failed\n"
            "  m-r-3 is made in zone b\n"
            "  3 of 3 groups serve: a 0 b 2 c 1\n"
            "When it is well again (each move after 300 s of calm):\n"
            "  m-r-0 is made in zone a\n"
            "  m-r-3 leaves zone b: zone b holds 2 groups and zone a 0\n"
            "  3 of 3 groups serve: a 1 b 1 c 1\n");
}

TEST(Rehearsal, WithoutAReserveGroupsWait) {
  const std::string text = rehearse_failure(three_zones(3, Reserve::kNone), "a");
  EXPECT_THAT(text, HasSubstr("2 of 3 groups serve: a 0 b 1 c 1; 1 wait for zone a"));
  EXPECT_THAT(text, HasSubstr("  m-r-0 is made in zone a\n  3 of 3 groups serve: a 1 b 1 c 1\n"));
}

TEST(Rehearsal, TheSpareZoneFillsAndEmpties) {
  const std::string text = rehearse_failure(three_zones(2, Reserve::kSpareZone), "b");
  EXPECT_THAT(text, HasSubstr("Before:\n  2 of 2 groups serve: a 1 b 1 c 0"));
  EXPECT_THAT(text, HasSubstr("2 of 2 groups serve: a 1 b 0 c 1"));
  EXPECT_THAT(text, HasSubstr("leaves zone c: zone c is the spare one\n  2 of 2 groups serve: a 1 b 1 c 0\n"));
}

TEST(Rehearsal, RefusesAZoneThatIsNotThere) {
  EXPECT_THROW(rehearse_failure(three_zones(3), "d"), common::Error);
}

}  // namespace
}  // namespace millrace::cli
