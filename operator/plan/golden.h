// What the answers to golden prompts say about a new revision. Pure.
#pragma once

#include <string>
#include <vector>

#include "operator/api/rollout_spec.h"

namespace millrace::controller {

// What one revision answered to one prompt.
struct GoldenAnswer {
  std::string text;
  std::string error;  // why there is no answer; empty when there is one
};

struct GoldenAnswers {  // one for each prompt
  std::vector<GoldenAnswer> stable;
  std::vector<GoldenAnswer> update;
};

bool passes(const GoldenPrompt& prompt, const GoldenAnswer& answer);

// In words, the first prompt that the stable revision answers as expected and the new one does not; empty without one.
// What the stable revision fails too is not the new one's fault.
std::string golden_regression(const std::vector<GoldenPrompt>& prompts, const GoldenAnswers& answers);

}  // namespace millrace::controller
