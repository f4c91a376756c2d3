#include "operator/plan/golden.h"

#include <algorithm>

namespace millrace::controller {
namespace {

constexpr std::size_t kShown = 80;  // bytes of a text in a message

// Cut so that no UTF-8 character is split.
std::string quoted(const std::string& text) {
  if (text.size() <= kShown) return '"' + text + '"';
  std::size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return '"' + text.substr(0, end) + "...\"";
}

}  // namespace

bool passes(const GoldenPrompt& prompt, const GoldenAnswer& answer) {
  return answer.error.empty() && answer.text.find(prompt.expect) != std::string::npos;
}

std::string golden_regression(const std::vector<GoldenPrompt>& prompts, const GoldenAnswers& answers) {
  const std::size_t count = std::min({prompts.size(), answers.stable.size(), answers.update.size()});
  for (std::size_t i = 0; i < count; ++i) {
    const GoldenAnswer& answer = answers.update[i];
    if (!passes(prompts[i], answers.stable[i]) || passes(prompts[i], answer)) continue;
    const std::string said = answer.error.empty() ? "it answers " + quoted(answer.text) + ", which does not contain " +
                                                        quoted(prompts[i].expect)
                                                  : "it does not answer: " + answer.error;
    return "golden prompt " + quoted(prompts[i].prompt) + ": " + said + "; the stable revision answers it";
  }
  return "";
}

}  // namespace millrace::controller
