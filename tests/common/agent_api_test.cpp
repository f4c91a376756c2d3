#include "common/agent_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/agent_config.h"
#include "common/error.h"

namespace millrace::common {
namespace {

using nlohmann::json;

template <typename Value>
std::string fault(const json& document) {
  try {
    document.get<Value>();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    return error.what();
  }
  return "";
}

json membership() {
  return {{"generation", 3},      {"group", "tiny-0"},  {"tensor_parallel", 2},
          {"expert_parallel", 2}, {"ranks_per_pod", 1}, {"peers", {{{"pod_index", 0}, {"host", "127.0.0.2"}}}}};
}

TEST(AgentApi, MembershipSurvivesARoundTrip) {
  const json document = membership();
  EXPECT_EQ(json(document.get<GroupMembership>()), document);
}

TEST(AgentApi, StatusSurvivesARoundTrip) {
  AgentStatus status;
  status.phase = AgentPhase::kDraining;
  status.message = "m";
  status.generation = 7;
  status.accepting = true;
  status.in_flight = 3;
  status.kv_usage = 0.25;
  EXPECT_EQ(json(json(status).get<AgentStatus>()), json(status));
  EXPECT_EQ(json(status)["phase"], "Draining");
}

TEST(AgentApi, TheLoadSurvivesARoundTrip) {
  AgentStatus status;
  const auto load = std::make_shared<AgentLoad>();
  load->queue = 3;
  load->arrivals = 7;
  load->finished = 6;
  load->failed = 2;
  load->kv_usage = 0.5;
  load->first_token.observe(0.2);
  load->inter_token.observe(0.02, 5);
  status.load = load;
  const AgentStatus read = json(status).get<AgentStatus>();
  ASSERT_TRUE(read.load);
  EXPECT_EQ(read.load->queue, 3);
  EXPECT_EQ(read.load->arrivals, 7U);
  EXPECT_EQ(read.load->finished, 6U);
  EXPECT_EQ(read.load->failed, 2U);
  EXPECT_EQ(read.load->first_token, load->first_token);
  EXPECT_EQ(read.load->inter_token.total(), 5U);
}

TEST(AgentApi, ABrokenLoadDoesNotHideTheStatus) {
  json document = AgentStatus{};
  document["load"] = {{"queue", "many"}};
  EXPECT_FALSE(document.get<AgentStatus>().load);
  EXPECT_FALSE(json(AgentStatus{}).get<AgentStatus>().load) << "absent from earlier agents";
}

TEST(LatencyHistogram, QuantilesAreWithinABucketOfTheTruth) {
  LatencyHistogram histogram;
  for (int i = 1; i <= 1000; ++i) histogram.observe(i * 1e-3);
  EXPECT_NEAR(*histogram.quantile(0.95), 0.95, 0.95 * 0.13);
  EXPECT_NEAR(*histogram.mean(), 0.5, 0.5 * 0.13);
  EXPECT_FALSE(LatencyHistogram().quantile(0.95)) << "no samples, no number";
}

TEST(LatencyHistogram, SinceGivesWhatHappenedInBetweenOrNothingAfterARestart) {
  LatencyHistogram before;
  before.observe(0.1, 3);
  LatencyHistogram after = before;
  after.observe(0.2, 2);
  EXPECT_EQ(after.since(before)->total(), 2U);
  EXPECT_FALSE(before.since(after));
}

TEST(AgentApi, ReportsAndPlacementsSurviveARoundTrip) {
  const json report = {
      {"placement_number", 1}, {"generation", 2}, {"expert_bytes", 4096}, {"steps", 9}, {"tokens", {{1, 2}, {3, 4}}}};
  EXPECT_EQ(json(report.get<ExpertLoadReport>()), report);
  const json placement = {{"number", 2},
                          {"slots_per_rank", 1},
                          {"slots", {{0, 1}}},
                          {"max_bytes_per_second", 1000},
                          {"move", {{"number", 2}, {"phase", "Failed"}, {"message", "no such file"}}}};
  EXPECT_EQ(json(placement.get<ExpertPlacementMessage>()), placement);
}

TEST(AgentApi, FaultsNameTheField) {
  json document = membership();
  document["generation"] = 0;
  EXPECT_EQ(fault<GroupMembership>(document), "generation is 0; expected an integer of at least 1");
  document = membership();
  document.erase("peers");
  EXPECT_EQ(fault<GroupMembership>(document), "peers is missing");
  document = membership();
  document["peers"][0]["host"] = 5;
  EXPECT_EQ(fault<GroupMembership>(document), "peers[0].host is 5; expected a string");
  document = membership();
  document["peers"][0]["pod_index"] = 1;
  EXPECT_EQ(fault<GroupMembership>(document), "peers[0].pod_index is 1; expected 0: list all pods in order");
  EXPECT_EQ(fault<GroupMembership>(json::array()), "the document is []; expected an object");
  EXPECT_EQ(fault<ExpertPlacementMessage>({{"number", 1}, {"slots_per_rank", 1}, {"slots", {{0, -1}}}}),
            "slots[0][1] is -1; expected an integer from 0 to 2147483647");
  EXPECT_EQ(fault<AgentStatus>({{"phase", "Happy"}}),
            "phase is \"Happy\"; expected WaitingForGroup, Loading, Serving, Draining or Failed");
}

TEST(AgentConfigJson, ReadsWhatItWrites) {
  AgentConfig config;
  config.served_model_name = "tiny";
  config.max_num_seqs = 7;
  EXPECT_EQ(json(json(config).get<AgentConfig>()), json(config));
  EXPECT_EQ(json::object().get<AgentConfig>().port, kDefaultPort);
}

TEST(AgentConfigJson, RefusesUnknownKeysAndBadRanges) {
  EXPECT_THAT(fault<AgentConfig>({{"prot", 1}}), testing::StartsWith("prot is not a known field; known: admin_port, "));
  EXPECT_EQ(fault<AgentConfig>({{"port", 70000}}), "port is 70000; expected an integer from 0 to 65535");
  EXPECT_EQ(fault<AgentConfig>({{"max_num_seqs", 0}}), "max_num_seqs is 0; expected an integer from 1 to 65536");
  EXPECT_EQ(fault<AgentConfig>({{"threads", 1.5}}), "threads is 1.5; expected an integer from 0 to 4096");
  EXPECT_EQ(fault<AgentConfig>({{"cache_bytes", 18446744073709551615U}}),
            "cache_bytes is 18446744073709551615; expected an integer of at least 1048576");
}

}  // namespace
}  // namespace millrace::common
