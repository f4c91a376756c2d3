// Bodies that are refused, with the field that the client is told, and what good ones become.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/api_error.h"
#include "agent/chat_request.h"
#include "agent/completion_request.h"
#include "agent/json_body.h"

namespace millrace::agent {
namespace {

using testing::HasSubstr;

ModelLimits limits() {
  ModelLimits limits;
  limits.served_model_name = "tiny";
  limits.max_model_len = 512;
  limits.vocab = 1000;
  limits.defaults.temperature = 0.6F;
  limits.defaults.top_k = 20;
  return limits;
}

ChatRequest chat(const std::string& body) {
  return parse_chat_request(parse_json_body(body), limits());
}
CompletionRequest completion(const std::string& body) {
  return parse_completion_request(parse_json_body(body), limits());
}

struct BadCase {
  const char* fields;  // beside a good "messages" and "prompt"
  const char* param;
  const char* message;  // part of it
  int status = 400;
};

template <typename Parse>
void expect_refused(const BadCase& bad, const std::string& start, Parse parse) {
  const std::string body = "{" + start + bad.fields + "}";
  try {
    parse(body);
    ADD_FAILURE() << "accepted: " << body;
  } catch (const ApiError& error) {
    EXPECT_EQ(error.fields().status, bad.status) << body;
    EXPECT_EQ(error.fields().param, bad.param) << body;
    EXPECT_THAT(error.what(), HasSubstr(bad.message)) << body;
  }
}

const BadCase kBadForBoth[] = {
    {R"("model":"other")", "model", "does not exist; this server has \"tiny\"", 404},
    {R"("model":5)", "model", "model is 5; expected a string"},
    {R"("stream":"yes")", "stream", "stream is \"yes\"; expected true or false"},
    {R"("stream_options":{"include_usage":true})", "stream_options", "stream is not true"},
    {R"("stream":true,"stream_options":[])", "stream_options", "expected an object"},
    {R"("temperature":-0.1)", "temperature", "temperature is -0.1; expected a number from 0.0 to 100.0"},
    {R"("temperature":"hot")", "temperature", "temperature is \"hot\"; expected a number"},
    {R"("temperature":[1,2])", "temperature", "temperature is an array of 2 items"},
    {R"("top_p":0)", "top_p", "above 0.0, at most 1.0"},
    {R"("top_p":1.5)", "top_p", "top_p is 1.5"},
    {R"("top_k":-2)", "top_k", "from -1 to"},
    {R"("top_k":1.5)", "top_k", "top_k is 1.5; expected an integer"},
    {R"("min_p":1.1)", "min_p", "from 0.0 to 1.0"},
    {R"("presence_penalty":3)", "presence_penalty", "from -2.0 to 2.0"},
    {R"("frequency_penalty":-3)", "frequency_penalty", "from -2.0 to 2.0"},
    {R"("repetition_penalty":0)", "repetition_penalty", "above 0.0"},
    {R"("n":0)", "n", "from 1 to 128"},
    {R"("n":2,"temperature":0)", "n", "temperature 0 gives equal answers"},
    {R"("max_tokens":0)", "max_tokens", "from 1 to"},
    {R"("max_tokens":99999999999999999999)", "max_tokens", "expected an integer"},
    {R"("min_tokens":-1)", "min_tokens", "from 0 to"},
    {R"("seed":"x")", "seed", "expected an integer"},
    {R"("stop":5)", "stop", "expected a string or an array"},
    {R"("stop":[""])", "stop", "each of 1 to 1024 bytes"},
    {R"("stop":["1","2","3","4","5","6","7","8","9","a","b","c","d","e","f","g","h"])", "stop", "at most 16"},
    {R"("stop_token_ids":[1,1000])", "stop_token_ids[1]", "from 0 to 999"},
    {R"("logit_bias":{"abc":1})", "logit_bias", "the key \"abc\"; expected token ids below 1000"},
    {R"("logit_bias":{"1000":1})", "logit_bias", "from 0 to 999"},
    {R"("logit_bias":{"5":101})", "logit_bias.5", "from -100.0 to 100.0"},
    {R"("response_format":{"type":"json_object"})", "response_format", "accepted: {\"type\": \"text\"}"},
    {R"("response_format":{"type":"json_schema","json_schema":{}})", "response_format", "not supported"},
    {R"("guided_json":{})", "guided_json", "not supported"},
    {R"("best_of":3)", "best_of", "accepted: n"},
    {R"("suffix":"x")", "suffix", "not supported"},
    {R"("prompt_logprobs":1)", "prompt_logprobs", "not supported"},
};

const BadCase kBadForChat[] = {
    {R"("messages":[])", "messages", "missing or empty"},
    {R"("messages":"hi")", "messages", "expected an array"},
    {R"("messages":[5])", "messages[0]", "expected an object"},
    {R"("messages":[{"content":"x"}])", "messages[0].role", "missing"},
    {R"("messages":[{"role":"king","content":"x"}])", "messages[0].role", "system, developer, user, assistant or tool"},
    {R"("messages":[{"role":"user"}])", "messages[0].content", "missing"},
    {R"("messages":[{"role":"user","content":7}])", "messages[0].content", "expected a string or an array"},
    {R"("messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}])",
     "messages[0].content[0].type", "accepts \"text\" only"},
    {R"("messages":[{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text", "missing"},
    {R"("messages":[{"role":"assistant","tool_calls":[{"id":"1"}]}])", "messages[0].tool_calls[0].function",
     "an object"},
    {R"("messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"[1]"}}]}])",
     "messages[0].tool_calls[0].function.arguments", "the JSON text of an object"},
    {R"("tools":[{}])", "tools[0].type", "missing"},
    {R"("tools":[{"type":"function"}])", "tools[0].function", "missing"},
    {R"("tools":[{"type":"function","function":{"name":""}}])", "tools[0].function.name", "expected a name"},
    {R"("tool_choice":"auto")", "tool_choice", "tools is missing"},
    {R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required")", "tool_choice",
     "use \"auto\" or \"none\""},
    {R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"f"}})",
     "tool_choice", "use \"auto\" or \"none\""},
    {R"("top_logprobs":3)", "top_logprobs", "set logprobs to true"},
    {R"("logprobs":true,"top_logprobs":21)", "top_logprobs", "from 0 to 20"},
    {R"("logprobs":3)", "logprobs", "expected true or false"},
    {R"("chat_template_kwargs":{"enable_thinking":"no"})", "chat_template_kwargs.enable_thinking", "true or false"},
    {R"("reasoning_effort":"huge")", "reasoning_effort", "none, minimal, low"},
    {R"("continue_final_message":true)", "continue_final_message", "role is \"user\"; expected assistant"},
    {R"("modalities":["audio"])", "modalities", "accepted: [\"text\"]"},
};

const BadCase kBadForCompletions[] = {
    {R"("prompt":5)", "prompt", "expected a string, an array of strings"},
    {R"("prompt":[])", "prompt", "expected a string, an array of strings"},
    {R"("prompt":["a",5])", "prompt[1]", "expected a string, an array of strings"},
    {R"("prompt":[1,-1])", "prompt[1]", "from 0 to 999"},
    {R"("prompt":[[1],[2,5000]])", "prompt[1][1]", "from 0 to 999"},
    {R"("logprobs":6)", "logprobs", "from 0 to 5"},
    {R"("echo":true,"logprobs":1)", "echo", "use one of the two"},
    {R"("prompt":["a","b"],"n":100)", "n", "above 128"},
};

TEST(BadRequest, NamesTheFieldOfBothRoutes) {
  for (const BadCase& bad : kBadForBoth) {
    expect_refused(bad, R"("messages":[{"role":"user","content":"x"}],)", chat);
    expect_refused(bad, R"("prompt":"x",)", completion);
  }
}

TEST(BadRequest, NamesTheFieldOfAChat) {
  for (const BadCase& bad : kBadForChat) {
    const bool own = std::string(bad.fields).starts_with("\"messages\"");
    expect_refused(bad, own ? "" : R"("messages":[{"role":"user","content":"x"}],)", chat);
  }
}

TEST(BadRequest, NamesTheFieldOfACompletion) {
  for (const BadCase& bad : kBadForCompletions) {
    const bool own = std::string(bad.fields).starts_with("\"prompt\"");
    expect_refused(bad, own ? "" : R"("prompt":"x",)", completion);
  }
}

TEST(BadRequest, BodiesThatAreNotJsonObjects) {
  for (const char* body :
       {"", "{", "[]", "5", "{\"a\":1}x", "\xff", "{\"a\":\"\xc3(\"}", "{\"a\":1e999}", "{\"a\":\"\\ud800\"}"}) {
    try {
      parse_json_body(body);
      ADD_FAILURE() << body;
    } catch (const ApiError& error) {
      EXPECT_EQ(error.fields().status, 400) << body;
    }
  }
}

TEST(BadRequest, HostileBodiesAreCheap) {
  EXPECT_THROW(parse_json_body(std::string(1 << 20, '[')), ApiError);
  EXPECT_THROW(parse_json_body("{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}"), ApiError);
  std::string many = "{\"a\":0";
  for (int i = 0; i < 100'000; ++i) many += ",\"k" + std::to_string(i) + "\":0";
  EXPECT_THROW(parse_json_body(many + "}"), ApiError);
}

TEST(ChatRequest, TakesDefaultsFromTheModelAndFieldsFromTheRequest) {
  const ChatRequest plain = chat(R"({"messages":[{"role":"user","content":"x"}]})");
  EXPECT_FLOAT_EQ(plain.generation.params.temperature, 0.6F);
  EXPECT_EQ(plain.generation.params.top_k, 20);
  EXPECT_FALSE(plain.generation.max_tokens);
  EXPECT_EQ(plain.generation.params.logprobs, -1);
  EXPECT_TRUE(plain.options.add_generation_prompt);

  const ChatRequest full =
      chat(R"({"messages":[{"role":"developer","content":"be"},{"role":"user","content":[{"type":"text","text":"x"}]},
      {"role":"assistant","reasoning":"why","content":null,"tool_calls":[{"id":"c","function":{"name":"f","arguments":""}}]},
      {"role":"tool","tool_call_id":"c","content":"ok"}],
      "model":"tiny","temperature":0,"top_p":0.5,"top_k":-1,"min_p":0.1,"presence_penalty":1,"frequency_penalty":-1,
      "repetition_penalty":1.1,"seed":-5,"max_tokens":3,"max_completion_tokens":4,"min_tokens":2,"stop":"end",
      "stop_token_ids":[7],"logit_bias":{"5":-100},"logprobs":true,"top_logprobs":2,"ignore_eos":true,
      "include_stop_str_in_output":true,"skip_special_tokens":false,"stream":true,
      "stream_options":{"include_usage":true,"continuous_usage_stats":true},
      "tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"auto","parallel_tool_calls":false,
      "chat_template_kwargs":{"enable_thinking":true,"other":1},"enable_thinking":false,"reasoning_effort":"none",
      "response_format":{"type":"text"},"user":"me","store":null,"brand_new_field":{"a":[1]}})");
  const engine::SamplingParams& params = full.generation.params;
  EXPECT_EQ(full.messages[0].role, "system");
  EXPECT_EQ(full.messages[2].reasoning, "why");
  EXPECT_EQ(full.messages[2].tool_calls[0].arguments, "{}");
  EXPECT_EQ(params.temperature, 0.0F);
  EXPECT_EQ(params.top_k, -1);
  EXPECT_EQ(params.seed, static_cast<std::uint64_t>(-5));
  EXPECT_EQ(full.generation.max_tokens, 4);
  EXPECT_EQ(params.min_tokens, 2);
  EXPECT_EQ(full.generation.stop, std::vector<std::string>{"end"});
  EXPECT_EQ(params.stop_token_ids, std::vector<engine::TokenId>{7});
  EXPECT_EQ(params.logit_bias.at(0), (std::pair<engine::TokenId, float>{5, -100.0F}));
  EXPECT_EQ(params.logprobs, 2);
  EXPECT_TRUE(params.ignore_eos);
  EXPECT_FALSE(full.generation.skip_special_tokens);
  EXPECT_TRUE(full.generation.continuous_usage_stats);
  EXPECT_FALSE(full.parallel_tool_calls);
  EXPECT_FALSE(full.tools.empty());
  EXPECT_EQ(full.options.enable_thinking, true) << "chat_template_kwargs is the most specific";
}

TEST(ChatRequest, ToolChoiceNoneHidesTheTools) {
  const auto request = chat(R"({"messages":[{"role":"user","content":"x"}],"tool_choice":"none",
                                "tools":[{"type":"function","function":{"name":"f"}}]})");
  EXPECT_TRUE(request.tools.empty());
}

TEST(CompletionRequest, TakesPromptsInAllForms) {
  EXPECT_EQ(completion(R"({"prompt":"a"})").prompts, (std::vector<PromptInput>{"a"}));
  EXPECT_EQ(completion(R"({"prompt":["a","b"]})").prompts, (std::vector<PromptInput>{"a", "b"}));
  EXPECT_EQ(completion(R"({"prompt":[1,2]})").prompts, (std::vector<PromptInput>{std::vector<engine::TokenId>{1, 2}}));
  EXPECT_EQ(completion(R"({"prompt":[[1],[2]]})").prompts,
            (std::vector<PromptInput>{std::vector<engine::TokenId>{1}, std::vector<engine::TokenId>{2}}));
  EXPECT_EQ(completion(R"({"prompt":"a"})").generation.max_tokens, 16);
  EXPECT_EQ(completion(R"({"prompt":"a","logprobs":0})").generation.params.logprobs, 0);
}

TEST(GenerationConfig, GivesDefaultsAndNamesItsFaults) {
  const auto params = default_sampling_params(R"({"temperature":0.7,"top_k":20,"top_p":0.95,"eos_token_id":[1]})");
  EXPECT_FLOAT_EQ(params.temperature, 0.7F);
  EXPECT_FLOAT_EQ(params.top_p, 0.95F);
  EXPECT_EQ(default_sampling_params("").temperature, 1.0F);
  try {
    default_sampling_params(R"({"top_p":7})");
    FAIL();
  } catch (const common::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("generation_config.json: top_p is 7"));
  }
}

}  // namespace
}  // namespace millrace::agent
