// The public API as a function: requests in, answers out, a scripted engine behind.
#include "agent/openai_api.h"

#include <gmock/gmock.h>

#include "tests/agent/api_fixture.h"

namespace millrace::agent {
namespace {

using testing::HasSubstr;

constexpr const char* kCompletions = "/v1/completions";
const json kNoThinking = {{"chat_template_kwargs", {{"enable_thinking", false}}}};
const json kWeatherTool = {
    {{"type", "function"},
     {"function",
      {{"name", "f"}, {"parameters", {{"type", "object"}, {"properties", {{"x", {{"type", "integer"}}}}}}}}}}};
const char* const kCall = "<tool_call>\n<function=f>\n<parameter=x>\n1\n</parameter>\n</function>\n</tool_call>";

json error_of(const common::HttpResponse& response) {
  return json::parse(response.body).at("error");
}

TEST(OpenAiApi, AnswersAChat) {
  ApiFixture api(says("Hello."));
  const json answer = api.answer(kChat, chat_body("Hi", kNoThinking));
  EXPECT_EQ(answer["object"], "chat.completion");
  EXPECT_THAT(answer["id"].get<std::string>(), testing::StartsWith("chatcmpl-"));
  EXPECT_EQ(answer["model"], kModelName);
  EXPECT_EQ(answer["choices"].size(), 1U);
  const json& choice = answer["choices"][0];
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_EQ(choice["message"]["content"], "Hello.");
  EXPECT_EQ(choice["message"]["reasoning_content"], nullptr);
  EXPECT_FALSE(choice["message"].contains("tool_calls"));
  EXPECT_EQ(choice["finish_reason"], "stop");
  const json& usage = answer["usage"];
  EXPECT_EQ(usage["prompt_tokens"], api.engine->requests().at(0).prompt.size());
  EXPECT_EQ(usage["total_tokens"], usage["prompt_tokens"].get<int>() + usage["completion_tokens"].get<int>());
}

TEST(OpenAiApi, StreamsAChatInTheOrderOfTheProtocol) {
  ApiFixture api(says("Hello there."));
  const auto events = api.events(kChat, chat_body("Hi", kNoThinking));
  ASSERT_GE(events.size(), 3U);
  EXPECT_EQ(events.front()["choices"][0]["delta"], json({{"role", "assistant"}, {"content", ""}}));
  std::string text;
  for (const json& event : events) {
    EXPECT_EQ(event["object"], "chat.completion.chunk");
    EXPECT_EQ(event["id"], events.front()["id"]);
    EXPECT_FALSE(event.contains("usage"));
    text += event["choices"][0]["delta"].value("content", "");
  }
  EXPECT_EQ(text, "Hello there.");
  EXPECT_EQ(events.back()["choices"][0]["finish_reason"], "stop");
  for (std::size_t i = 0; i + 1 < events.size(); ++i) EXPECT_EQ(events[i]["choices"][0]["finish_reason"], nullptr);
}

TEST(OpenAiApi, StreamsUsageWhenAsked) {
  ApiFixture api(says("Hello."));
  json body = chat_body("Hi", kNoThinking);
  body["stream_options"] = {{"include_usage", true}};
  auto events = api.events(kChat, body);
  EXPECT_EQ(events.back()["choices"], json::array());
  EXPECT_GT(events.back()["usage"]["completion_tokens"], 0);
  EXPECT_EQ(events.front()["usage"], nullptr);
  body["stream_options"]["continuous_usage_stats"] = true;
  events = api.events(kChat, body);
  EXPECT_EQ(events[1]["usage"]["completion_tokens"], 1);
}

TEST(OpenAiApi, GivesReasoningUnderBothNames) {
  ApiFixture api(says("I think.\n</think>\n\nYes."));
  const json thinking = {{"enable_thinking", true}};
  const json message = api.answer(kChat, chat_body("Hi", thinking))["choices"][0]["message"];
  EXPECT_EQ(message["content"], "Yes.");
  EXPECT_THAT(message["reasoning"].get<std::string>(), HasSubstr("I think."));
  EXPECT_EQ(message["reasoning"], message["reasoning_content"]);
  std::string reasoning;
  std::string content;
  for (const json& event : api.events(kChat, chat_body("Hi", thinking))) {
    const json& delta = event["choices"][0]["delta"];
    reasoning += delta.value("reasoning_content", "");
    content += delta.value("content", "");
    EXPECT_EQ(delta.value("reasoning", ""), delta.value("reasoning_content", ""));
  }
  EXPECT_EQ(reasoning, message["reasoning"]);
  EXPECT_EQ(content, "Yes.");
}

TEST(OpenAiApi, GivesToolCalls) {
  ApiFixture api(says(kCall));
  json body = chat_body("Hi", kNoThinking);
  body["tools"] = kWeatherTool;
  const json choice = api.answer(kChat, body)["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_EQ(choice["message"]["content"], nullptr);
  const json& call = choice["message"]["tool_calls"][0];
  EXPECT_EQ(call["type"], "function");
  EXPECT_THAT(call["id"].get<std::string>(), testing::StartsWith("call_"));
  EXPECT_EQ(call["function"]["name"], "f");
  EXPECT_EQ(json::parse(call["function"]["arguments"].get<std::string>()), json({{"x", 1}}));

  std::string arguments;
  int named = 0;
  for (const json& event : api.events(kChat, body)) {
    for (const json& delta : event["choices"][0]["delta"].value("tool_calls", json::array())) {
      EXPECT_EQ(delta["index"], 0);
      named += delta.contains("id") ? 1 : 0;
      arguments += delta["function"]["arguments"].get<std::string>();
    }
  }
  EXPECT_EQ(named, 1);
  EXPECT_EQ(json::parse(arguments), json({{"x", 1}}));
}

TEST(OpenAiApi, ToolMarkupIsTextWithoutTools) {
  ApiFixture api(says(kCall));
  const json message = api.answer(kChat, chat_body("Hi", kNoThinking))["choices"][0]["message"];
  EXPECT_THAT(message["content"].get<std::string>(), HasSubstr("<tool_call>"));
}

TEST(OpenAiApi, GivesSeveralChoicesWithSeedsInARow) {
  ApiFixture api(says("x"));
  json body = chat_body("Hi", {{"n", 3}, {"seed", 10}});
  const json answer = api.answer(kChat, body);
  ASSERT_EQ(answer["choices"].size(), 3U);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(answer["choices"][i]["index"], i);
    EXPECT_EQ(api.engine->requests().at(i).params.seed, 10U + i);
  }
  EXPECT_EQ(answer["usage"]["prompt_tokens"], api.engine->requests().at(0).prompt.size()) << "the prompt counts once";
}

TEST(OpenAiApi, LimitsTheAnswerToTheContext) {
  ApiFixture api(says("x"));
  api.answer(kChat, chat_body("Hi", {{"max_tokens", 100000}}));
  api.answer(kChat, chat_body("Hi"));
  for (const auto& request : api.engine->requests()) {
    EXPECT_EQ(request.params.max_tokens, 512 - static_cast<std::int64_t>(request.prompt.size()));
  }
}

TEST(OpenAiApi, RefusesAPromptThatDoesNotFitWithTheNumbers) {
  ApiFixture api(says("x"));
  std::string longest;
  for (int i = 0; i < 600; ++i) longest += "1 ";
  const auto response = api.post(kChat, chat_body(longest));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(error_of(response)["code"], "context_length_exceeded");
  EXPECT_THAT(error_of(response)["message"].get<std::string>(),
              testing::ContainsRegex("512 tokens.*has 1[0-9]+; shorten"));
  EXPECT_TRUE(api.admission.wait_until_idle(std::chrono::seconds(20)));
}

TEST(OpenAiApi, PassesOnWhatTheTemplateRefuses) {
  ApiFixture api(says("x"));
  const auto response = api.post(kChat, {{"messages", {{{"role", "system"}, {"content", "x"}}}}});
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(error_of(response)["param"], "messages");
  EXPECT_THAT(error_of(response)["message"].get<std::string>(), HasSubstr("No user query"));
}

TEST(OpenAiApi, AStopStringCancelsTheEngine) {
  ApiFixture api(says("one two three four"));
  const json choice = api.answer(kChat, chat_body("Hi", {{"stop", {"two"}}, {"enable_thinking", false}}))["choices"][0];
  EXPECT_EQ(choice["message"]["content"], "one ");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["stop_reason"], "two");
}

TEST(OpenAiApi, CompletesPromptsInAllForms) {
  ApiFixture api(says(" world"));
  const json one = api.answer(kCompletions, {{"prompt", "Hello"}});
  EXPECT_EQ(one["object"], "text_completion");
  EXPECT_EQ(one["choices"][0]["text"], " world");
  EXPECT_EQ(one["choices"][0]["logprobs"], nullptr);
  const json echoed = api.answer(kCompletions, {{"prompt", {"a", "b"}}, {"echo", true}, {"n", 2}});
  ASSERT_EQ(echoed["choices"].size(), 4U);
  EXPECT_EQ(echoed["choices"][1]["text"], "a world");
  EXPECT_EQ(echoed["choices"][2]["text"], "b world");
  const json ids = api.answer(kCompletions, {{"prompt", {5, 6}}, {"max_tokens", 9}});
  EXPECT_EQ(api.engine->requests().back().prompt, (std::vector<engine::TokenId>{5, 6}));
  EXPECT_EQ(api.engine->requests().back().params.max_tokens, 9);
  std::string text;
  for (const json& event : api.events(kCompletions, {{"prompt", "Hello"}, {"echo", true}})) {
    text += event["choices"][0]["text"].get<std::string>();
  }
  EXPECT_EQ(text, "Hello world");
}

TEST(OpenAiApi, GivesLogprobsInBothShapes) {
  const auto script = [](const engine::Request& request) {
    auto events = says("ab")(request);
    for (auto& event : events) {
      event.logprobs = engine::TokenLogprobs{.logprob = -1.5F, .top = {{*event.token, -1.5F}, {7, -2.0F}}};
    }
    return events;
  };
  ApiFixture api(script);
  const json chat =
      api.answer(kChat, chat_body("Hi", {{"logprobs", true}, {"top_logprobs", 2}, {"enable_thinking", false}}));
  const json& content = chat["choices"][0]["logprobs"]["content"];
  ASSERT_FALSE(content.empty());
  EXPECT_EQ(content[0]["logprob"], -1.5);
  EXPECT_EQ(content[0]["top_logprobs"].size(), 2U);
  EXPECT_EQ(content[0]["bytes"][0], 'a');
  EXPECT_EQ(api.engine->requests().at(0).params.logprobs, 2);
  const json plain = api.answer(kCompletions, {{"prompt", "x"}, {"logprobs", 1}});
  const json& logprobs = plain["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"].size(), logprobs["text_offset"].size());
  EXPECT_EQ(logprobs["text_offset"][0], 0);
  EXPECT_EQ(logprobs["token_logprobs"][0], -1.5);
}

TEST(OpenAiApi, TokenizesAndDetokenizes) {
  ApiFixture api(says("x"));
  const json tokens = api.answer("/tokenize", {{"prompt", "Hello <|im_end|>"}, {"return_token_strs", true}});
  EXPECT_EQ(tokens["count"], tokens["tokens"].size());
  EXPECT_EQ(tokens["token_strs"].size(), tokens["tokens"].size());
  EXPECT_EQ(tokens["max_model_len"], 512);
  EXPECT_EQ(api.answer("/detokenize", {{"tokens", tokens["tokens"]}})["prompt"], "Hello <|im_end|>");
  const json chat = api.answer("/tokenize", chat_body("Hi"));
  EXPECT_EQ(
      api.answer("/detokenize", {{"tokens", chat["tokens"]}})["prompt"].get<std::string>().find("<|im_start|>user\nHi"),
      0U);
  EXPECT_EQ(api.post("/tokenize", json::object()).status, 400);
  EXPECT_EQ(api.post("/detokenize", {{"tokens", {-1}}}).status, 400);
}

TEST(OpenAiApi, ListsTheModel) {
  ApiFixture api(says("x"));
  const json list = json::parse(api.call("GET", "/v1/models").body);
  EXPECT_EQ(list["data"][0]["id"], kModelName);
  EXPECT_EQ(list["data"][0]["max_model_len"], 512);
  EXPECT_EQ(api.call("GET", "/v1/models/tiny").status, 200);
  EXPECT_EQ(api.call("GET", "/v1/models/other").status, 404);
}

TEST(OpenAiApi, UnknownPathsAndMethodsSaySo) {
  ApiFixture api(says("x"));
  EXPECT_EQ(api.call("GET", "/v2").status, 404);
  const auto response = api.call("GET", kChat);
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(common::find_header(response.headers, "Allow"), "POST, OPTIONS");
  EXPECT_EQ(api.call("POST", kChat, "{").status, 400);
  EXPECT_EQ(api.call("GET", "/health").status, 200);
  EXPECT_EQ(api.call("HEAD", "/v1/models").status, 200);
}

TEST(OpenAiApi, AsksForTheKeyWhereThereIsOne) {
  ApiFixture api(says("x"), "secret");
  const auto refused = api.call("POST", kChat, chat_body("Hi").dump());
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(error_of(refused)["code"], "invalid_api_key");
  EXPECT_EQ(api.call("GET", "/v1/models").status, 401);
  EXPECT_EQ(api.call("POST", "/tokenize", "{}").status, 401);
  EXPECT_EQ(api.call("GET", "/health").status, 200);
  EXPECT_EQ(api.call("POST", kChat, chat_body("Hi").dump(), {{"Authorization", "Bearer secret"}}).status, 200);
  EXPECT_EQ(api.call("POST", kChat, chat_body("Hi").dump(), {{"Authorization", "Bearer secret2"}}).status, 401);
}

TEST(OpenAiApi, SaysWhyItIsNotReady) {
  ApiFixture api(says("x"));
  api.unready = "Loading: loading the weights";
  const auto response = api.post(kChat, chat_body("Hi"));
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(error_of(response)["message"], "the model is not ready: Loading: loading the weights");
  EXPECT_FALSE(common::find_header(response.headers, "Retry-After").empty());
  EXPECT_EQ(api.call("GET", "/health").status, 503);
}

TEST(OpenAiApi, AFullQueueIs429WithRetryAfter) {
  ApiFixture api(says("x"));
  api.engine->limit_live(1);
  api.engine->hold_after(0);
  const auto first = api.open(kChat, chat_body("Hi"));
  ASSERT_TRUE(api.engine->wait_for_requests(1));
  const auto response = api.post(kChat, chat_body("Hi"));
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(common::find_header(response.headers, "Retry-After"), "1");
  EXPECT_EQ(error_of(response)["code"], "rate_limit_exceeded");
  api.engine->release();
  EXPECT_EQ(first->wait().status, 200);
}

TEST(OpenAiApi, WhenOneOfSeveralChoicesIsRefusedAllAre) {
  ApiFixture api(says("x"));
  api.engine->limit_live(2);
  api.engine->hold_after(0);
  EXPECT_EQ(api.post(kChat, chat_body("Hi", {{"n", 3}})).status, 429);
  EXPECT_TRUE(api.engine->wait_for_cancel());
  EXPECT_TRUE(api.admission.wait_until_idle(std::chrono::seconds(20)));
}

TEST(OpenAiApi, TheLimitOfRequestsIsAnsweredWithoutTheEngine) {
  ApiFixture api(says("x"), std::nullopt, 1);
  api.engine->hold_after(0);
  const auto first = api.open(kChat, chat_body("Hi"));
  // Even a body that is not JSON: nothing is read before there is room.
  EXPECT_EQ(api.call("POST", kChat, "{").status, 429);
  api.engine->release();
  EXPECT_EQ(first->wait().status, 200);
}

TEST(OpenAiApi, AClientThatLeavesCancelsAllItsChoices) {
  ApiFixture api(says("one two three"));
  api.engine->hold_after(1);
  const auto writer = api.open(kChat, chat_body("Hi", {{"stream", true}, {"n", 2}}));
  ASSERT_TRUE(api.engine->wait_for_requests(2));
  writer->disconnect();
  EXPECT_TRUE(api.engine->wait_for_cancel());
  EXPECT_TRUE(api.admission.wait_until_idle(std::chrono::seconds(20)));
}

TEST(OpenAiApi, ChatsWithItsOperatorWithoutAKey) {
  ApiFixture api(says("one"), "key");
  EXPECT_EQ(api.post(kChat, chat_body("Hi")).status, 401);
  common::HttpRequest request;
  request.method = "POST";
  request.path = "/admin/v1/chat/completions";
  request.body = chat_body("Hi", {{"enable_thinking", false}}).dump();
  auto reply = api.api.chat(std::move(request));
  ASSERT_TRUE(std::holds_alternative<common::HttpDeferred>(reply));
  const auto writer = std::make_shared<RecordingWriter>();
  std::get<common::HttpDeferred>(reply)(writer);
  EXPECT_EQ(json::parse(writer->wait().body)["choices"][0]["message"]["content"], "one");
}

TEST(OpenAiApi, AFailureBeforeTheFirstTokenIsAnHttpError) {
  ApiFixture api(says("x"));
  api.engine->hold_after(0);
  const auto writer = api.open(kChat, chat_body("Hi", {{"stream", true}}));
  ASSERT_TRUE(api.engine->wait_for_requests(1));
  api.engine->fail("rank 1 is gone");
  const auto response = writer->wait();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(error_of(response)["message"], "rank 1 is gone");
}

TEST(OpenAiApi, AFailureInAStreamIsAnErrorEvent) {
  ApiFixture api(says("one two three"));
  api.engine->hold_after(2);
  const auto writer = api.open(kChat, chat_body("Hi", {{"stream", true}}));
  ASSERT_TRUE(api.engine->wait_for_tokens(2));
  api.engine->fail("rank 1 is gone");
  const std::string body = writer->wait().body;
  EXPECT_THAT(body, HasSubstr("data: {\"error\":{\"message\":\"rank 1 is gone\""));
  EXPECT_TRUE(body.ends_with("data: [DONE]\n\n"));
}

TEST(OpenAiApi, TheEndOfTheEngineEndsItsRequests) {
  ApiFixture api(says("one two three"));
  api.engine->hold_after(0);
  const auto writer = api.open(kChat, chat_body("Hi"));
  ASSERT_TRUE(api.engine->wait_for_requests(1));
  api.slot.reset();
  EXPECT_EQ(writer->wait().status, 503);
  EXPECT_TRUE(api.admission.wait_until_idle(std::chrono::seconds(20)));
  EXPECT_EQ(api.post(kChat, chat_body("Hi")).status, 503);
}

TEST(OpenAiApi, DrainingRefusesNewWorkAndFinishesTheOld) {
  ApiFixture api(says("x"));
  api.engine->hold_after(0);
  const auto writer = api.open(kChat, chat_body("Hi"));
  ASSERT_TRUE(api.engine->wait_for_requests(1));
  api.admission.drain();
  const auto response = api.post(kChat, chat_body("Hi"));
  EXPECT_EQ(response.status, 503);
  EXPECT_TRUE(response.close);
  EXPECT_EQ(api.admission.in_flight(), 1);
  api.engine->release();
  EXPECT_EQ(writer->wait().status, 200);
  EXPECT_TRUE(api.admission.wait_until_idle(std::chrono::seconds(20)));
}

}  // namespace
}  // namespace millrace::agent
