#include "operator/kube/watch_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::controller::kube {
namespace {

using common::Code;
using ::testing::HasSubstr;

const std::string kStream = R"({"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"2"}}})"
                            "\n"
                            R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5"}}})"
                            "\r\n\n";

TEST(WatchDecoder, GivesTheSameEventsForEveryCutIntoTwo) {
  for (std::size_t cut = 0; cut <= kStream.size(); ++cut) {
    WatchDecoder decoder;
    std::vector<WatchEvent> events = decoder.push(kStream.substr(0, cut));
    for (WatchEvent& event : decoder.push(kStream.substr(cut))) events.push_back(std::move(event));
    ASSERT_EQ(events.size(), 2U) << cut;
    EXPECT_EQ(events[0].type, EventType::kAdded);
    EXPECT_EQ(events[0].object.name(), "a");
    EXPECT_EQ(events[1].type, EventType::kBookmark);
    EXPECT_EQ(events[1].object.resource_version(), "5");
    EXPECT_FALSE(decoder.error());
    EXPECT_FALSE(decoder.mid_line());
  }
}

TEST(WatchDecoder, KeepsEventsThatCameBeforeAnError) {
  WatchDecoder decoder;
  const auto events = decoder.push(
      kStream + R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}})" +
      "\n" + kStream);
  EXPECT_EQ(events.size(), 2U);
  EXPECT_EQ(decoder.error()->code(), Code::kGone);
  EXPECT_TRUE(decoder.push(kStream).empty());
}

TEST(WatchDecoder, RefusesALineThatNeverEnds) {
  WatchDecoder decoder(1000);
  for (int i = 0; i < 100 && !decoder.error(); ++i) decoder.push(std::string(64, 'x'));
  EXPECT_EQ(decoder.error()->code(), Code::kDataLoss);
  EXPECT_THAT(decoder.error()->what(), HasSubstr("longer than 1000 bytes"));
}

TEST(WatchDecoder, RefusesADeeplyNestedObject) {
  WatchDecoder decoder;
  decoder.push(R"({"type":"ERROR","object":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}\n");
  EXPECT_EQ(decoder.error()->code(), Code::kDataLoss);
}

TEST(WatchDecoder, KnowsWhenTheStreamStoppedInsideAnEvent) {
  WatchDecoder decoder;
  decoder.push(R"({"type":)");
  EXPECT_TRUE(decoder.mid_line());
}

}  // namespace
}  // namespace millrace::controller::kube
