#include "operator/probe/agent_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/http_server.h"
#include "operator/probe/expert_client.h"
#include "operator/probe/prompt_client.h"
#include "tests/support/fault.h"

namespace millrace::controller {
namespace {

using common::Code;
using common::HttpReply;
using common::HttpRequest;
using ::testing::HasSubstr;

// Answers with the status that the path names, and with the token that it was shown.
HttpReply answer_as_asked(const HttpRequest& request) {
  const std::string body = request.path == "/200"
                               ? R"({"token": ")" + std::string(request.header("authorization")) + "\"}"
                               : "because of the moon";
  return common::HttpResponse{.status = std::stoi(request.path.substr(1)), .body = body};
}

class AgentCallTest : public ::testing::Test {
 protected:
  common::HttpServer server_{{}, answer_as_asked};
  const AgentAddress agent_{"127.0.0.1", server_.port(), "secret"};
};

TEST_F(AgentCallTest, ReturnsTheAnswerOfAnAgentThatWasShownItsToken) {
  EXPECT_EQ(ask_agent(agent_, "/200", {})["token"], "Bearer secret");
}

TEST_F(AgentCallTest, ThrowsWhatARefusalMeansAndSaysWhoSaidWhat) {
  const std::pair<int, Code> refusals[] = {{400, Code::kInvalidArgument},
                                           {401, Code::kUnauthenticated},
                                           {403, Code::kUnauthenticated},
                                           {409, Code::kInvalidArgument},
                                           {503, Code::kUnavailable}};
  for (const auto& [status, code] : refusals) {
    const std::string path = "/" + std::to_string(status);
    const test::Fault fault = test::fault_of([&] { call_agent(agent_, "POST", path, "", {}); });
    EXPECT_EQ(fault.code, code) << status;
    EXPECT_EQ(fault.message,
              "POST " + path + " at 127.0.0.1 answered " + std::to_string(status) + ": because of the moon");
    EXPECT_THAT(fault.message, Not(HasSubstr("secret")));
  }
}

TEST(AgentCall, ShowsTheTokenBeforeToAnAgentThatRefusesTheNewOne) {
  std::vector<std::string> shown;
  common::HttpServer server({}, [&](const HttpRequest& request) -> HttpReply {
    shown.emplace_back(request.header("authorization"));
    return common::HttpResponse{.status = shown.back() == "Bearer old" ? 200 : 401, .body = "{}"};
  });
  const AgentAccess access{"new", "old"};
  AgentAddress agent = access.at("127.0.0.1", "");
  agent.admin_port = server.port();
  EXPECT_EQ(call_agent(agent, "GET", "/", "", {}), "{}");
  EXPECT_EQ(shown, (std::vector<std::string>{"Bearer new", "Bearer old"}));
  agent.previous_token = "older";
  EXPECT_EQ(test::fault_of([&] { call_agent(agent, "GET", "/", "", {}); }).code, Code::kUnauthenticated);
}

TEST_F(AgentCallTest, RefusesAnAnswerThatIsNoJson) {
  EXPECT_EQ(test::fault_of([&] { ask_agent(agent_, "/201", {}); }).code, Code::kDataLoss);
}

TEST(AgentClients, APromptIsAskedGreedilyWithoutThinking) {
  nlohmann::json asked;
  common::HttpServer server({}, [&](const HttpRequest& request) -> HttpReply {
    asked = nlohmann::json::parse(request.body);
    return common::HttpResponse{
        .body = request.path == "/admin/v1/chat/completions" ? R"({"choices": [{"message": {"content": "7"}}]})" : ""};
  });
  HttpPromptClient prompts;
  EXPECT_EQ(prompts.ask({"127.0.0.1", server.port(), "secret"}, "3 + 4?", 9), "7");
  EXPECT_EQ(asked, nlohmann::json::parse(R"({"messages": [{"role": "user", "content": "3 + 4?"}], "max_tokens": 9,
                                             "temperature": 0, "enable_thinking": false})"));
}

TEST(AgentClients, AnAnswerThatIsNoChatCompletionIsRefused) {
  common::HttpServer server(
      {}, [](const HttpRequest&) -> HttpReply { return common::HttpResponse{.body = R"({"choices": []})"}; });
  HttpPromptClient prompts;
  EXPECT_EQ(test::fault_of([&] { prompts.ask({"127.0.0.1", server.port(), ""}, "3 + 4?", 9); }).code, Code::kDataLoss);
}

TEST(AgentClients, AStopEndsACallAboutExpertsThatGetsNoAnswer) {
  std::stop_source stop;
  std::shared_ptr<common::HttpWriter> kept;
  common::HttpServer server({}, [&](const HttpRequest&) -> HttpReply {
    return common::HttpDeferred([&](std::shared_ptr<common::HttpWriter> writer) {
      kept = std::move(writer);
      stop.request_stop();
    });
  });
  HttpExpertClient experts(stop.get_token(), std::chrono::minutes(10));
  EXPECT_EQ(test::fault_of([&] { experts.load({"127.0.0.1", server.port(), "secret"}); }).code, Code::kCancelled);
  server.stop(std::chrono::milliseconds(0));
}

}  // namespace
}  // namespace millrace::controller
