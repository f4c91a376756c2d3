#include "operator/kube/events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/kube/fake_client.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using Verdict = EventAggregator::Verdict;
using namespace std::chrono_literals;

Object deployment(const std::string& name = "chat") {
  Object object(kModelDeployment, {"team", name});
  object.json()["metadata"]["uid"] = "uid-" + name;
  return object;
}

EventRecord record(const std::string& reason, const std::string& message = "m", const std::string& name = "chat") {
  return {EventRecord::Type::kNormal, reference_to(deployment(name)), nullptr, reason, "Act", message};
}

TEST(EventAggregator, CountsRepetitionsOnTheFirstEvent) {
  EventAggregator aggregator;
  const EventAggregator::TimePoint now{1000s};
  EXPECT_EQ(aggregator.decide(record("A"), now).verdict, Verdict::kCreate);
  aggregator.created(record("A"), {"team", "e1"}, now);
  const auto second = aggregator.decide(record("A"), now + 1s);
  EXPECT_EQ(second.verdict, Verdict::kCount);
  EXPECT_EQ(second.event.name, "e1");
  EXPECT_EQ(second.count, 2);
  EXPECT_EQ(aggregator.decide(record("A", "other text"), now + 2s).verdict, Verdict::kCreate);
  EXPECT_EQ(aggregator.decide(record("A"), now + 12min).verdict, Verdict::kCreate);
}

TEST(EventAggregator, LimitsEachObjectToABurstAndThenOneInFiveMinutes) {
  EventAggregator aggregator;
  EventAggregator::TimePoint now{1000s};
  int passed = 0;
  for (int i = 0; i < 100; ++i) {
    passed += aggregator.decide(record("A", std::to_string(i)), now).verdict != Verdict::kDrop ? 1 : 0;
  }
  EXPECT_EQ(passed, 25);
  EXPECT_EQ(aggregator.decide(record("A", "x", "another"), now).verdict, Verdict::kCreate);
  now += 5min;
  EXPECT_EQ(aggregator.decide(record("A", "y"), now).verdict, Verdict::kCreate);
  EXPECT_EQ(aggregator.decide(record("A", "z"), now).verdict, Verdict::kDrop);
}

TEST(EventRecorder, WritesEventsThatTheApiAccepts) {
  testing::FakeClient client;
  std::vector<Object> created;
  client.on_create = [&](const Object& object) {
    created.push_back(object);
    return object;
  };
  EventRecorder recorder(client, "millrace.dev/operator", "host-1");
  recorder.warning(deployment(), "ProbeFailed", "Probe", "no answer from " + std::string(2000, 'x'));
  ASSERT_TRUE(recorder.flush(10s));
  ASSERT_EQ(created.size(), 1U);
  const Object& event = created[0];
  EXPECT_EQ(event.api_version(), "events.k8s.io/v1");
  EXPECT_EQ(event.ns(), "team");
  EXPECT_THAT(event.name(), ::testing::StartsWith("chat."));
  EXPECT_EQ(event.string_at("/type"), "Warning");
  EXPECT_EQ(event.string_at("/reason"), "ProbeFailed");
  EXPECT_EQ(event.string_at("/action"), "Probe");
  EXPECT_EQ(event.string_at("/regarding/uid"), "uid-chat");
  EXPECT_EQ(event.string_at("/reportingController"), "millrace.dev/operator");
  EXPECT_EQ(event.string_at("/note").size(), 1024U);
  EXPECT_EQ(event.string_at("/eventTime").size(), std::string("2026-01-02T03:04:05.000006Z").size());
}

TEST(EventRecorder, MakesANewEventWhenTheOldOneHasExpiredOnTheServer) {
  testing::FakeClient client;
  int created = 0;
  client.on_create = [&](const Object& object) {
    ++created;
    return object;
  };
  client.on_patch = [](const ObjectKey&, const Json&) -> Object {
    throw ApiError(Code::kNotFound, 404, "NotFound", "gone");
  };
  EventRecorder recorder(client, "c", "i");
  recorder.normal(deployment(), "A", "Act", "m");
  recorder.normal(deployment(), "A", "Act", "m");
  ASSERT_TRUE(recorder.flush(10s));
  EXPECT_EQ(created, 2);
  EXPECT_EQ(recorder.dropped(), 0U);
}

TEST(EventRecorder, NeverFailsItsCaller) {
  testing::FakeClient client;
  client.on_create = [](const Object&) -> Object { throw ApiError(Code::kPermissionDenied, 403, "Forbidden", "no"); };
  EventRecorder recorder(client, "c", "i");
  for (int i = 0; i < 3; ++i) recorder.normal(deployment(), "A", "Act", "\xff\xfe not UTF-8");
  ASSERT_TRUE(recorder.flush(10s));
  EXPECT_EQ(recorder.dropped(), 3U);
}

}  // namespace
}  // namespace millrace::controller::kube
