#include "operator/plan/zone_evidence.h"

#include <gtest/gtest.h>

namespace millrace::controller {
namespace {

using std::chrono::milliseconds;

NodeView heard_node(const std::string& name, const std::string& zone, bool heard_of = true) {
  NodeView view;
  view.name = name;
  view.zone = zone;
  view.heard_of = heard_of;
  return view;
}

ZoneEvidences gather(const ZoneContacts& agents, const std::vector<NodeView>& nodes = {},
                     const LeaseMemory& leases = {}, const std::map<std::string, KubeletAnswers>& kubelets = {},
                     TimePoint now = {}) {
  return gather_evidence({now, agents, nodes, leases, kubelets});
}

TEST(ZoneEvidence, CountsAgentsNodesAndKubeletsByZone) {
  const ZoneEvidences zones = gather({{"a", {2, {milliseconds(4'000)}}}, {"b", {1, {}}}},
                                     {heard_node("n1", "a"), heard_node("n2", "a", false), heard_node("n3", "c")}, {},
                                     {{"a", {3, 2}}, {"gone", {1, 1}}});
  ASSERT_EQ(zones.size(), 3U);
  EXPECT_EQ(zones.at("a").agents, 2);
  EXPECT_EQ(zones.at("a").silent, 1);
  EXPECT_EQ(zones.at("a").nodes, 2);
  EXPECT_EQ(zones.at("a").unreachable_nodes, 1);
  EXPECT_EQ(zones.at("a").asked_kubelets, 3);
  EXPECT_EQ(zones.at("a").answered_kubelets, 2);
  EXPECT_EQ(zones.at("b").nodes, 0);
  EXPECT_EQ(zones.at("c").agents, 0);
}

TEST(ZoneEvidence, SilenceIsThatOfHalfTheAgents) {
  const auto silence = [](std::int32_t agents, std::vector<milliseconds> times) {
    return gather({{"a", {agents, std::move(times)}}}).at("a").silent_for;
  };
  EXPECT_EQ(silence(1, {}), milliseconds(0));
  EXPECT_EQ(silence(1, {milliseconds(7)}), milliseconds(7));
  EXPECT_EQ(silence(2, {milliseconds(7)}), milliseconds(7));
  EXPECT_EQ(silence(3, {milliseconds(7)}), milliseconds(0));
  EXPECT_EQ(silence(3, {milliseconds(7), milliseconds(9)}), milliseconds(7));
  EXPECT_EQ(silence(4, {milliseconds(1), milliseconds(9), milliseconds(5)}), milliseconds(5));
}

TEST(LeaseMemory, OnlyAChangeIsARenewalAndNotForLong) {
  const auto at = [](int second) { return TimePoint(std::chrono::seconds(second)); };
  LeaseMemory leases;
  const auto read = [&](const std::map<std::string, std::string>& times, int second) {
    leases.read(times, at(second), at(second));
  };
  read({{"n1", "10:00"}, {"n2", "10:00"}}, 0);
  EXPECT_EQ(leases.compared_for(), milliseconds(0));
  read({{"n1", "10:00"}, {"n2", "10:10"}, {"n3", "10:10"}}, 4);
  EXPECT_EQ(leases.compared_for(), milliseconds(4'000));
  EXPECT_FALSE(leases.renewed("n1"));
  EXPECT_TRUE(leases.renewed("n2"));
  EXPECT_FALSE(leases.renewed("n3")) << "seen for the first time";
  read({{"n1", "10:00"}, {"n2", "10:10"}}, 15);
  EXPECT_TRUE(leases.renewed("n2"));
  const ZoneEvidences zones = gather({}, {heard_node("n1", "a"), heard_node("n2", "a")}, leases);
  EXPECT_EQ(zones.at("a").renewed_nodes, 1);
  EXPECT_EQ(zones.at("a").leases_for, milliseconds(15'000));
  read({{"n1", "10:00"}, {"n2", "10:10"}}, 16);
  EXPECT_FALSE(leases.renewed("n2")) << "it has missed the next one";
  leases.forget();
  EXPECT_EQ(leases.compared_for(), milliseconds(0));
}

TEST(ZoneEvidence, OnlyWhatIsCertainToBeOfTheSilenceCountsInIt) {
  const TimePoint begin{std::chrono::seconds(1'000)};
  LeaseMemory leases;
  leases.read({{"n1", "0"}, {"n2", "0"}}, begin, begin);
  const TimePoint silent_since = begin + milliseconds(20'000);
  leases.read({{"n1", "20"}, {"n2", "0"}}, silent_since + milliseconds(2'000), silent_since + milliseconds(2'000));
  leases.read({{"n1", "20"}, {"n2", "21"}}, silent_since + milliseconds(3'000), silent_since + milliseconds(3'000));
  const ZoneEvidences zones = gather({{"a", {1, {milliseconds(3'500)}}}, {"b", {1, {}}}},
                                     {heard_node("n1", "a"), heard_node("n2", "a"), heard_node("n3", "b")}, leases, {},
                                     silent_since + milliseconds(3'500));
  EXPECT_EQ(zones.at("a").renewed_nodes, 2);
  EXPECT_EQ(zones.at("a").leases_for, milliseconds(23'000));
  EXPECT_EQ(zones.at("a").renewed_in_silence, 1) << "n1 may have done so before its zone was cut off";
  EXPECT_EQ(zones.at("a").leases_in_silence_for, milliseconds(500));
  EXPECT_EQ(zones.at("b").leases_in_silence_for, milliseconds(0)) << "its agents answer";
}

// What an answer says may be as young as the answer.
TEST(LeaseMemory, ASlowAnswerIsNoLongComparison) {
  const TimePoint begin{std::chrono::seconds(1'000)};
  LeaseMemory leases;
  leases.read({{"n1", "10:00"}}, begin, begin + milliseconds(12'000));
  leases.read({{"n1", "10:00"}}, begin + milliseconds(13'000), begin + milliseconds(20'000));
  EXPECT_EQ(leases.compared_for(), milliseconds(1'000));
}

TEST(ZoneEvidence, DoubtBeginsWithEarlySilenceLostNodesOrAStateThatIsNotHealthy) {
  const TimePoint now{};
  EXPECT_FALSE(is_in_doubt({{"a", {.agents = 1, .nodes = 1}}}, {{"a", {ZoneState::kHealthy, now, {}, ""}}}));
  EXPECT_TRUE(is_in_doubt({{"a", {.agents = 1, .silent = 1, .silent_for = milliseconds(1'000)}}}, {}));
  EXPECT_TRUE(is_in_doubt({{"a", {.nodes = 2, .unreachable_nodes = 2}}}, {}));
  EXPECT_TRUE(is_in_doubt({{"a", {.nodes = 1}}}, {{"a", {ZoneState::kRecovering, now, {}, ""}}}));
}

}  // namespace
}  // namespace millrace::controller
