#include "operator/kube/timestamp.h"

#include <gtest/gtest.h>

namespace millrace::controller::kube {
namespace {

using namespace std::chrono_literals;

TEST(Timestamp, WritesWhatItReads) {
  for (const char* text :
       {"2026-11-21T08:34:45.000006Z", "1970-01-01T00:00:00.000000Z", "2024-02-29T23:59:59.999999Z"}) {
    const auto time = parse_timestamp(text);
    ASSERT_TRUE(time) << text;
    EXPECT_EQ(format_micro_time(*time), text);
  }
  EXPECT_EQ(format_time(*parse_timestamp("2026-11-21T08:34:45.9Z")), "2026-11-21T08:34:45Z");
}

TEST(Timestamp, ReadsOffsetsAndFractionsOfAnyLength) {
  const auto base = *parse_timestamp("2026-01-01T10:00:00Z");
  EXPECT_EQ(*parse_timestamp("2026-01-01T12:00:00+02:00"), base);
  EXPECT_EQ(*parse_timestamp("2026-01-01T04:30:00-05:30"), base);
  EXPECT_EQ(*parse_timestamp("2026-01-01T10:00:00.5Z"), base + 500ms);
  EXPECT_EQ(*parse_timestamp("2026-01-01T10:00:00.123456789Z"), base + 123456us);
}

TEST(Timestamp, RefusesEverythingElse) {
  for (const char* text :
       {"", "yesterday", "2026-02-30T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T25:00:00Z",
        "2026-01-01T00:00:00Zx", "2026-01-01T00:00:00+1", "26-01-01T00:00:00Z"}) {
    EXPECT_FALSE(parse_timestamp(text)) << text;
  }
}

}  // namespace
}  // namespace millrace::controller::kube
