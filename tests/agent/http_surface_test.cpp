// What clients see around the answers: ids, headers, preflight requests, fields without effect.
#include <gmock/gmock.h>

#include "agent/answer_headers.h"
#include "agent/unknown_fields.h"
#include "common/log.h"
#include "tests/agent/api_fixture.h"

namespace millrace::agent {
namespace {

using common::find_header;
using testing::HasSubstr;
using testing::StartsWith;

const json kThinkingOff = {{"enable_thinking", false}};

TEST(RequestId, IsTheClientsOrANewOne) {
  ApiFixture api(says("x"));
  const auto with = [&](const std::string& id) {
    return std::string(find_header(api.call("GET", "/v1/models", "", {{"x-request-id", id}}).headers, "X-Request-Id"));
  };
  EXPECT_EQ(with("trace-1"), "trace-1");
  EXPECT_THAT(with(""), StartsWith("req_"));
  EXPECT_THAT(with("has a space"), StartsWith("req_"));
  EXPECT_THAT(with(std::string(129, 'x')), StartsWith("req_"));
  EXPECT_NE(with(""), with(""));
}

TEST(RequestId, IsOnEveryKindOfAnswer) {
  ApiFixture api(says("x"));
  const common::HttpHeaders id = {{"X-Request-Id", "mine"}};
  json stream = chat_body("Hi", {{"stream", true}});
  for (const auto& response :
       {api.call("POST", kChat, chat_body("Hi").dump(), id), api.call("POST", kChat, stream.dump(), id),
        api.call("POST", kChat, "{", id), api.call("GET", "/nowhere", "", id), api.call("GET", kChat, "", id),
        api.call("POST", "/tokenize", R"({"prompt":"x"})", id)}) {
    EXPECT_EQ(find_header(response.headers, "X-Request-Id"), "mine") << response.status;
  }
}

TEST(Cors, IsOffUnlessConfigured) {
  ApiFixture api(says("x"));
  const auto response = api.call("GET", "/v1/models", "", {{"Origin", "https://a.example"}});
  EXPECT_EQ(find_header(response.headers, "Access-Control-Allow-Origin"), "");
}

TEST(Cors, LetsConfiguredOriginsCallWithAKey) {
  ApiFixture api(says("x"), "secret", 8, {"https://a.example"});
  const auto preflight = api.call("OPTIONS", kChat, "",
                                  {{"Origin", "https://a.example"},
                                   {"Access-Control-Request-Method", "POST"},
                                   {"Access-Control-Request-Headers", "authorization,content-type"}});
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(find_header(preflight.headers, "Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_EQ(find_header(preflight.headers, "Access-Control-Allow-Headers"), "authorization,content-type");
  EXPECT_THAT(std::string(find_header(preflight.headers, "Access-Control-Allow-Methods")), HasSubstr("POST"));
  const auto answer = api.call("POST", kChat, chat_body("Hi").dump(),
                               {{"Origin", "https://a.example"}, {"Authorization", "Bearer secret"}});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(find_header(answer.headers, "Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_EQ(find_header(answer.headers, "Vary"), "Origin");
  const auto refused = api.call("POST", kChat, "{}", {{"Origin", "https://a.example"}});
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(find_header(refused.headers, "Access-Control-Allow-Origin"), "https://a.example")
      << "so that the page can read the error";
  for (const char* origin : {"https://b.example", ""}) {
    const auto other = api.call("GET", "/v1/models", "", {{"Origin", origin}});
    EXPECT_EQ(find_header(other.headers, "Access-Control-Allow-Origin"), "");
    EXPECT_EQ(find_header(other.headers, "Vary"), "Origin");
  }
}

TEST(Cors, AStarIsForEverybody) {
  const auto headers = cors_headers(
      {"*"}, {.method = "GET", .path = "/v1/models", .query = "", .headers = {{"Origin", "null"}}, .body = ""});
  EXPECT_EQ(find_header(headers, "Access-Control-Allow-Origin"), "*");
}

TEST(OpenAiApi, OptionsSayWhatIsAllowed) {
  ApiFixture api(says("x"));
  const auto response = api.call("OPTIONS", "/v1/models");
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(find_header(response.headers, "Allow"), "GET, OPTIONS");
  EXPECT_EQ(api.call("OPTIONS", "/v1/models/tiny").status, 204);
  EXPECT_EQ(api.call("OPTIONS", "/nowhere").status, 404);
}

TEST(OpenAiApi, AnswersHealthAsOtherServersDo) {
  ApiFixture api(says("x"));
  EXPECT_EQ(api.call("GET", "/health").status, 200);
  EXPECT_EQ(api.call("GET", "/ping").status, 200);
  EXPECT_EQ(api.call("POST", "/ping").status, 200);
  EXPECT_EQ(json::parse(api.call("GET", "/version").body)["version"], "test");
}

TEST(OpenAiApi, ModelNamesInPathsMayBeEscaped) {
  ApiFixture api(says("x"));
  EXPECT_EQ(json::parse(api.call("GET", "/v1/models/t%69ny").body)["id"], kModelName);
  EXPECT_EQ(api.call("DELETE", "/v1/models/tiny").status, 405);
}

TEST(OpenAiApi, TheModelIsListedBeforeItsEngineRuns) {
  ApiFixture api(says("x"));
  api.slot.reset();
  api.unready = "Loading";
  EXPECT_EQ(json::parse(api.call("GET", "/v1/models").body)["data"][0]["max_model_len"], nullptr);
  EXPECT_EQ(json::parse(api.call("GET", "/v1/models/tiny").body)["id"], kModelName);
}

TEST(OpenAiApi, StreamsSeveralChoicesByIndex) {
  ApiFixture api(says("one two"));
  json body = chat_body("Hi", {{"n", 2}, {"enable_thinking", false}});
  body["stream_options"] = {{"include_usage", true}};
  const auto events = api.events(kChat, body);
  std::map<int, std::string> text;
  std::map<int, int> finished;
  for (const json& event : events) {
    for (const json& choice : event["choices"]) {
      text[choice["index"]] += choice["delta"].value("content", "");
      finished[choice["index"]] += choice["finish_reason"] == "stop" ? 1 : 0;
    }
  }
  EXPECT_EQ(text, (std::map<int, std::string>{{0, "one two"}, {1, "one two"}}));
  EXPECT_EQ(finished, (std::map<int, int>{{0, 1}, {1, 1}}));
  EXPECT_EQ(events.back()["usage"]["prompt_tokens"], api.engine->requests().at(0).prompt.size());
}

TEST(OpenAiApi, FieldsWithoutEffectAreAccepted) {
  ApiFixture api(says("x"));
  const json fields = {{"user", "me"},           {"metadata", {{"a", "b"}}},   {"store", true},
                       {"service_tier", "auto"}, {"safety_identifier", "s"},   {"prompt_cache_key", "k"},
                       {"priority", 1},          {"parallel_tool_calls", true}};
  EXPECT_EQ(api.post(kChat, chat_body("Hi", fields)).status, 200);
}

TEST(OpenAiApi, ReturnsTokenIdsWhenAsked) {
  ApiFixture api(says("one two"));
  std::vector<engine::TokenId> expected = tiny_text().tokenizer.encode("one two");
  expected.push_back(*tiny_text().tokenizer.token_to_id("<|im_end|>"));
  const json body = {{"prompt", "x"}, {"return_token_ids", true}};
  EXPECT_EQ(api.answer("/v1/completions", body)["choices"][0]["token_ids"], json(expected));
  json streamed = json::array();
  for (const json& event : api.events("/v1/completions", body)) {
    for (const json& id : event["choices"][0].value("token_ids", json::array())) streamed.push_back(id);
  }
  EXPECT_EQ(streamed, json(expected));
}

TEST(OpenAiApi, ShowsSpecialTokensWhenAsked) {
  ApiFixture api(says("one<|endoftext|>two"));
  EXPECT_EQ(api.answer("/v1/completions", {{"prompt", "x"}})["choices"][0]["text"], "onetwo");
  EXPECT_EQ(api.answer("/v1/completions", {{"prompt", "x"}, {"skip_special_tokens", false}})["choices"][0]["text"],
            "one<|endoftext|>two");
}

TEST(OpenAiApi, OnlyTheFirstCallWithoutParallelToolCalls) {
  ApiFixture api(
      says("<tool_call>\n<function=f>\n</function>\n</tool_call>\n<tool_call>\n<function=g>\n</function>\n"
           "</tool_call>"));
  json body = chat_body("Hi", kThinkingOff);
  body["tools"] = {{{"type", "function"}, {"function", {{"name", "f"}}}},
                   {{"type", "function"}, {"function", {{"name", "g"}}}}};
  EXPECT_EQ(api.answer(kChat, body)["choices"][0]["message"]["tool_calls"].size(), 2U);
  body["parallel_tool_calls"] = false;
  const json calls = api.answer(kChat, body)["choices"][0]["message"]["tool_calls"];
  ASSERT_EQ(calls.size(), 1U);
  EXPECT_EQ(calls[0]["function"]["name"], "f");
}

// Debug lines while it lives.
struct DebugLog {
  DebugLog() {
    common::configure_log(common::LogFormat::kText, common::LogLevel::kDebug);
    testing::internal::CaptureStderr();
  }
  std::string end() {
    common::configure_log(common::LogFormat::kText, common::LogLevel::kInfo);
    return testing::internal::GetCapturedStderr();
  }
};

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(UnknownFields, AreIgnoredAndLoggedOncePerName) {
  ApiFixture api(says("x"));
  DebugLog log;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(api.post(kChat, chat_body("Hi", {{"brand_new", {{"a", 1}}}, {"user", "me"}})).status, 200);
    EXPECT_EQ(api.post("/v1/completions", {{"prompt", "x"}, {"other_one", 1}}).status, 200);
  }
  const std::string text = log.end();
  EXPECT_EQ(count(text, "field=brand_new"), 1) << text;
  EXPECT_EQ(count(text, "field=other_one"), 1) << text;
  EXPECT_EQ(count(text, "is unknown and ignored"), 2) << text;
}

TEST(UnknownFields, AreRememberedWithinBounds) {
  UnknownFields fields;
  DebugLog log;
  for (int i = 0; i < 1000; ++i) fields.log({"f" + std::to_string(i)});
  fields.log({std::string(100'000, 'x')});
  const std::string text = log.end();
  EXPECT_EQ(count(text, "is unknown and ignored"), static_cast<int>(UnknownFields::kMaxNames));
  EXPECT_LT(text.size(), 100'000U);
}

}  // namespace
}  // namespace millrace::agent
