#include "engine/runtime/sampling_params.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "common/error.h"

namespace millrace::engine {
namespace {

struct BadParam {
  std::string expected;
  std::function<void(SamplingParams&)> spoil;
};

TEST(SamplingParams, EachBadValueIsNamedWithWhatIsAccepted) {
  const float nan = std::nanf("");
  const BadParam cases[] = {
      {"temperature is -1; it must be 0 or greater", [](auto& p) { p.temperature = -1; }},
      {"temperature is nan", [&](auto& p) { p.temperature = nan; }},
      {"top_k is -2", [](auto& p) { p.top_k = -2; }},
      {"top_p is 0;", [](auto& p) { p.top_p = 0; }},
      {"top_p is 1.5", [](auto& p) { p.top_p = 1.5F; }},
      {"min_p is 2", [](auto& p) { p.min_p = 2; }},
      {"presence_penalty is 3", [](auto& p) { p.presence_penalty = 3; }},
      {"frequency_penalty is -3", [](auto& p) { p.frequency_penalty = -3; }},
      {"repetition_penalty is 0", [](auto& p) { p.repetition_penalty = 0; }},
      {"max_tokens is 0", [](auto& p) { p.max_tokens = 0; }},
      {"min_tokens is 20", [](auto& p) { p.min_tokens = 20; }},
      {"logprobs is 21", [](auto& p) { p.logprobs = 21; }},
      {"logit_bias token id is 100",
       [](auto& p) {
         p.logit_bias = {{100, 1.0F}};
       }},
      {"logit_bias value is 101",
       [](auto& p) {
         p.logit_bias = {{1, 101.0F}};
       }},
      {"stop_token_ids entry is -1", [](auto& p) { p.stop_token_ids = {-1}; }},
  };
  for (const BadParam& bad : cases) {
    SamplingParams params;
    bad.spoil(params);
    try {
      validate(params, 100);
      ADD_FAILURE() << bad.expected << " was accepted";
    } catch (const common::Error& error) {
      EXPECT_EQ(error.code(), common::Code::kInvalidArgument);
      EXPECT_NE(std::string(error.what()).find(bad.expected), std::string::npos) << error.what();
    }
  }
}

TEST(SamplingParams, DefaultsAndLimitsAreAccepted) {
  SamplingParams params;
  EXPECT_NO_THROW(validate(params, 100));
  params.top_k = -1;
  params.logprobs = 20;
  params.logit_bias = {{99, -100.0F}};
  EXPECT_NO_THROW(validate(params, 100));
}

TEST(SamplingParams, PromptsAreCheckedAgainstContextAndVocabulary) {
  EXPECT_NO_THROW(validate_prompt({1, 2, 3}, 100, 4));
  EXPECT_THROW(validate_prompt({}, 100, 4), common::Error);
  EXPECT_THROW(validate_prompt({1, 2, 3, 4}, 100, 4), common::Error);
  EXPECT_THROW(validate_prompt({100}, 100, 4), common::Error);
  EXPECT_THROW(validate_prompt({-1}, 100, 4), common::Error);
}

}  // namespace
}  // namespace millrace::engine
