// One choice of an answer: engine tokens in, text and tool calls out, while they stream. Detokenises, looks for stop
// strings, splits reasoning, content and tool calls, and decides the finish reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/request.h"
#include "engine/text/detokenizer.h"
#include "engine/text/output_parser.h"
#include "engine/text/stop_strings.h"
#include "engine/text/tool_set.h"
#include "engine/tokenizer.h"

namespace millrace::agent {

struct TokenText {
  std::string text;   // valid UTF-8, for display
  std::string bytes;  // what the token stands for
  float logprob = 0.0F;
};

struct TokenLogprobText {
  TokenText token;
  std::vector<TokenText> top;  // most likely first
};

struct ToolCallDelta {
  int index = 0;
  std::string id;    // with the first delta of a call
  std::string name;  // with the first delta of a call
  std::string arguments;
};

// What was added since the last delta.
struct ChoiceDelta {
  std::string reasoning;
  std::string content;
  std::vector<ToolCallDelta> tool_calls;  // at most one entry per call
  std::vector<TokenLogprobText> logprobs;
  std::vector<engine::TokenId> token_ids;
  std::optional<std::string> finish_reason;                                // with the last delta
  std::variant<std::monostate, std::string, engine::TokenId> stop_reason;  // the stop string or requested stop token

  bool has_text() const { return !reasoning.empty() || !content.empty() || !tool_calls.empty(); }
  // Adds a later delta of the same choice.
  void append(ChoiceDelta next);
};

struct ChoiceOptions {
  std::vector<std::string> stop;
  bool include_stop_str_in_output = false;
  bool skip_special_tokens = true;
  std::int64_t min_tokens = 0;
  std::vector<engine::TokenId> stop_token_ids;
  bool return_token_ids = false;
  // Chat only; without, all text is content.
  std::optional<engine::OutputParserOptions> parser;
  bool parallel_tool_calls = true;
  bool include_reasoning = true;
};

// One generation; one thread at a time. Tokenizer and tools must outlive it.
class ChoiceBuilder {
 public:
  ChoiceBuilder(const engine::Tokenizer& tokenizer, const engine::ToolSet& tools, ChoiceOptions options);

  // Not for events that finish with kError. Events after the end are ignored.
  ChoiceDelta push(const engine::TokenEvent& event);

  bool finished() const { return finished_; }
  // Finished by a stop string: the engine does not know and must be told to cancel.
  bool stopped_by_text() const { return stops_.stopped(); }

  std::int64_t completion_tokens() const { return completion_tokens_; }
  std::int64_t reasoning_tokens() const { return reasoning_tokens_; }

 private:
  std::string take_token(const engine::TokenEvent& event, bool shown, ChoiceDelta& delta);
  void parse(const std::string& text, ChoiceDelta& delta);
  void add(std::vector<engine::OutputDelta> pieces, ChoiceDelta& delta);
  void finish(const engine::TokenEvent& event, ChoiceDelta& delta);
  std::string finish_reason(const std::optional<engine::FinishReason>& reason) const;
  TokenText describe(engine::TokenId id, float logprob) const;

  const engine::Tokenizer& tokenizer_;
  ChoiceOptions options_;
  engine::Detokenizer detokenizer_;
  engine::StopStrings stops_;
  std::optional<engine::OutputParser> parser_;
  std::int64_t completion_tokens_ = 0;
  std::int64_t reasoning_tokens_ = 0;
  bool finished_ = false;
};

}  // namespace millrace::agent
