#include "agent/admin_api.h"

#include <gmock/gmock.h>

#include <thread>

#include "tests/agent/api_fixture.h"

namespace millrace::agent {
namespace {

using common::AgentPhase;
using common::HttpReply;
using common::HttpResponse;
using testing::HasSubstr;

struct AdminFixture {
  HttpResponse call(const std::string& method, const std::string& path, const std::string& body = "",
                    const std::string& token = "secret") {
    HttpReply reply = api.handle(
        {.method = method, .path = path, .query = "", .headers = {{"Authorization", "Bearer " + token}}, .body = body});
    if (auto* response = std::get_if<HttpResponse>(&reply)) return std::move(*response);
    const auto writer = std::make_shared<RecordingWriter>();
    std::get<common::HttpDeferred>(reply)(writer);
    return writer->wait();
  }

  void serve() {
    EXPECT_EQ(call("PUT", "/admin/v1/group", kMembership).status, 200);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (api.status().phase != AgentPhase::kServing && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_EQ(api.status().phase, AgentPhase::kServing);
  }

  static constexpr const char* kMembership =
      R"({"generation":1,"group":"g","tensor_parallel":1,"expert_parallel":1,"ranks_per_pod":1,
          "peers":[{"pod_index":0,"host":"127.0.0.1"}]})";

  EngineSlot slot;
  Admission admission{4};
  AgentMetrics metrics{kModelName, "1.2.3"};
  Group group{GroupOptions{},
              {.connect = [](const auto&) { return Comms{}; },
               .start =
                   [this](const auto&, const auto&, Comms) {
                     auto made = std::make_unique<FakeEngine>(says("x"));
                     engine = made.get();
                     return made;
                   },
               .follow = nullptr},
              slot};
  FakeEngine* engine = nullptr;
  AdminApi api{{.group = group,
                .slot = slot,
                .admission = admission,
                .metrics = metrics,
                .control = control,
                .pod_index = 0,
                .token = "secret",
                .chat = [](const common::HttpRequest& request) -> HttpReply {
                  return HttpResponse{.body = "asked " + request.body};
                }}};
  common::WorkerPool control{1};
};

TEST(AdminApi, OnlyTheKubeletNeedsNoToken) {
  AdminFixture f;
  EXPECT_EQ(f.call("GET", "/livez", "", "no").status, 200);
  EXPECT_EQ(f.call("GET", "/readyz", "", "no").status, 503);
  for (const char* path : {"/metrics", "/admin/v1/status", "/admin/v1/experts/load", "/admin/v1/experts/placement"}) {
    EXPECT_EQ(f.call("GET", path, "", "no").status, 401) << path;
  }
  EXPECT_EQ(f.call("POST", "/admin/v1/drain", "", "no").status, 401);
  EXPECT_EQ(f.call("PUT", "/admin/v1/group", AdminFixture::kMembership, "no").status, 401);
  EXPECT_FALSE(f.admission.draining());
}

TEST(AdminApi, MetricsCanBeOpenWithoutOpeningAnythingElse) {
  AdminFixture f;
  AdminApi open({.group = f.group,
                 .slot = f.slot,
                 .admission = f.admission,
                 .metrics = f.metrics,
                 .control = f.control,
                 .pod_index = 0,
                 .token = "secret",
                 .open_metrics = true});
  const auto status = [&open](const std::string& path) {
    return std::get<HttpResponse>(open.handle({.method = "GET", .path = path, .query = "", .headers = {}, .body = ""}))
        .status;
  };
  EXPECT_EQ(status("/metrics"), 200);
  EXPECT_EQ(status("/admin/v1/status"), 401);
}

TEST(AdminApi, PassesChatCompletionsOnToItsOperatorOnly) {
  AdminFixture f;
  EXPECT_EQ(f.call("POST", "/admin/v1/chat/completions", "x").body, "asked x");
  EXPECT_EQ(f.call("POST", "/admin/v1/chat/completions", "x", "no").status, 401);
}

TEST(AdminApi, BecomesReadyWithItsGroup) {
  AdminFixture f;
  EXPECT_THAT(f.call("GET", "/readyz").body, HasSubstr("WaitingForGroup"));
  f.serve();
  EXPECT_EQ(f.call("GET", "/readyz").status, 200);
  const json status = json::parse(f.call("GET", "/admin/v1/status").body);
  EXPECT_EQ(status["phase"], "Serving");
  EXPECT_EQ(status["generation"], 1);
  EXPECT_EQ(status["leader"], true);
}

TEST(AdminApi, ReadinessFallsWhenTheEngineFails) {
  AdminFixture f;
  f.serve();
  f.engine->fail("rank 1 is gone");
  const auto response = f.call("GET", "/readyz");
  EXPECT_EQ(response.status, 503);
  EXPECT_THAT(response.body, HasSubstr("rank 1 is gone"));
}

TEST(AdminApi, RefusesBadMemberships) {
  AdminFixture f;
  EXPECT_EQ(f.call("PUT", "/admin/v1/group", "{").status, 400);
  EXPECT_THAT(f.call("PUT", "/admin/v1/group", "{}").body, HasSubstr("generation is missing"));
  f.serve();
  json older = json::parse(AdminFixture::kMembership);
  older["peers"][0]["host"] = "127.0.0.2";
  EXPECT_EQ(f.call("PUT", "/admin/v1/group", older.dump()).status, 409);
}

TEST(AdminApi, DrainsAndSaysSo) {
  AdminFixture f;
  f.serve();
  for (int i = 0; i < 2; ++i) {
    const auto response = f.call("POST", "/admin/v1/drain");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(json::parse(response.body)["phase"], "Draining");
  }
  EXPECT_EQ(f.call("GET", "/readyz").status, 503);
}

TEST(AdminApi, ReportsAndReplacesExpertPlacements) {
  AdminFixture f;
  EXPECT_EQ(f.call("GET", "/admin/v1/experts/load").status, 503) << "no engine yet";
  f.serve();
  EXPECT_EQ(json::parse(f.call("GET", "/admin/v1/experts/load").body)["tokens"], json({{50, 40}}));
  const auto placed =
      f.call("PUT", "/admin/v1/experts/placement", R"({"number":4,"slots_per_rank":2,"slots":[[1,0]]})");
  EXPECT_EQ(placed.status, 200);
  const json in_force = json::parse(f.call("GET", "/admin/v1/experts/placement").body);
  EXPECT_EQ(in_force["slots"], json({{1, 0}}));
  EXPECT_EQ(in_force["move"]["number"], 4);
  EXPECT_EQ(in_force["move"]["phase"], "InForce");
  EXPECT_EQ(json::parse(f.call("GET", "/admin/v1/status").body)["placement_number"], 4);
  const auto refused = f.call("PUT", "/admin/v1/experts/placement", R"({"number":5,"slots_per_rank":2,"slots":[]})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr("wrong number of layers"));
}

TEST(AdminApi, MetricsSayWhatTheAgentIsAndDoes) {
  AdminFixture f;
  f.serve();
  const std::string text = f.call("GET", "/metrics").body;
  for (const char* line :
       {"vllm:num_requests_running{engine=\"0\",model_name=\"tiny\"} 0", "vllm:cache_config_info{", "block_size=\"16\"",
        "millrace_state_slots{model_name=\"tiny\"} 10", "millrace_requests_in_flight{model_name=\"tiny\"} 0",
        "millrace_group_generation{model_name=\"tiny\"} 1", "millrace_expert_load_imbalance{model_name=\"tiny\"} 1.5",
        "millrace_build_info{", "version=\"1.2.3\"", "phase=\"Serving\""}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(AdminApi, UnknownPathsAndMethodsSaySo) {
  AdminFixture f;
  EXPECT_EQ(f.call("GET", "/admin/v2").status, 404);
  EXPECT_EQ(f.call("DELETE", "/admin/v1/group").status, 405);
}

TEST(ExpertLoadImbalance, IsTheBusiestOverTheMean) {
  EXPECT_EQ(expert_load_imbalance(
                {.steps = 1, .num_layers = 2, .num_experts = 2, .tokens = {5, 5, 10, 0}, .total_tokens = {}}),
            1.5);
  EXPECT_EQ(expert_load_imbalance({}), 0.0);
  EXPECT_EQ(
      expert_load_imbalance({.steps = 1, .num_layers = 1, .num_experts = 2, .tokens = {0, 0}, .total_tokens = {}}),
      0.0);
}

}  // namespace
}  // namespace millrace::agent
