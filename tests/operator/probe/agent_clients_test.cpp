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
