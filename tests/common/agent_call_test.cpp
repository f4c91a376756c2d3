#include "common/agent_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/http_server.h"
#include "tests/support/fault.h"

namespace millrace::common {
namespace {

using ::testing::HasSubstr;

// Answers with the status that the path names, and with the token that it was shown.
HttpReply answer_as_asked(const HttpRequest& request) {
  const std::string body = request.path == "/200"
                               ? R"({"token": ")" + std::string(request.header("authorization")) + "\"}"
                               : "because of the moon";
  return HttpResponse{.status = std::stoi(request.path.substr(1)), .body = body};
}

class AgentCallTest : public ::testing::Test {
 protected:
  HttpServer server_{{}, answer_as_asked};
  const AgentAddress agent_{"127.0.0.1", server_.port(), "secret"};
};

TEST_F(AgentCallTest, ReturnsTheAnswerOfAnAgentThatWasShownItsToken) {
  EXPECT_EQ(ask_agent(agent_, "GET", "/200", {})["token"], "Bearer secret");
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
  HttpServer server({}, [&](const HttpRequest& request) -> HttpReply {
    shown.emplace_back(request.header("authorization"));
    return HttpResponse{.status = shown.back() == "Bearer old" ? 200 : 401, .body = "{}"};
  });
  AgentAddress agent{"127.0.0.1", server.port(), "new", "old"};
  EXPECT_EQ(call_agent(agent, "GET", "/", "", {}), "{}");
  EXPECT_EQ(shown, (std::vector<std::string>{"Bearer new", "Bearer old"}));
  agent.previous_token = "older";
  EXPECT_EQ(test::fault_of([&] { call_agent(agent, "GET", "/", "", {}); }).code, Code::kUnauthenticated);
}

TEST_F(AgentCallTest, RefusesAnAnswerThatIsNoJson) {
  EXPECT_EQ(test::fault_of([&] { ask_agent(agent_, "GET", "/201", {}); }).code, Code::kDataLoss);
}

}  // namespace
}  // namespace millrace::common
