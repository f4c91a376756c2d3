// Model output to reasoning, content and tool calls, while it streams (qwen3_5-io section 3).
//
// Feed decoded text in pieces of any size; the deltas, concatenated by kind and call, do not depend on the pieces.
// Markup is taken out where it has its meaning; elsewhere (a </think> in content, a <tool_call> that no call follows)
// it is text. For a non-streaming answer feed everything at once, or use parse_output.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/chat_template.h"
#include "engine/text/tool_set.h"

namespace millrace::engine {

struct OutputDelta {
  enum class Kind { kReasoning, kContent, kToolCallStart, kToolCallArguments };
  Kind kind = Kind::kContent;
  std::string text;     // reasoning, content, or a fragment of the arguments' JSON text
  int tool_index = -1;  // for the two tool kinds: 0 for the first call of the answer
  std::string id;       // kToolCallStart
  std::string name;     // kToolCallStart
};

struct OutputParserOptions {
  ChatFormat format = ChatFormat::kThinkingOn;
  bool parse_tool_calls = false;              // request has tools and tool_choice is not none
  bool parse_reasoning = true;                // false: <think> and its text are content
  bool starts_in_reasoning = false;           // RenderedChat::thinking
  std::function<std::string()> make_call_id;  // default: "call_" and 24 random hex digits
};

// One generation; one thread.
class OutputParser {
 public:
  // tools gives the argument types; it must outlive the parser.
  OutputParser(const ToolSet& tools, OutputParserOptions options);
  OutputParser(OutputParser&&) noexcept;
  OutputParser& operator=(OutputParser&&) noexcept;
  ~OutputParser();

  std::vector<OutputDelta> feed(std::string_view text);

  // End of the generation; call once. Releases what was held back. If the model ended the answer itself, a call that
  // lacks only closing tags is completed; if the answer was truncated (finish_reason length), or an argument is cut
  // off, the call keeps its open JSON and has_open_call() is true from then on.
  std::vector<OutputDelta> finish(bool truncated = false);

  int tool_calls() const;      // calls started so far
  bool has_open_call() const;  // the last call's arguments are not complete JSON
  bool in_reasoning() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A whole answer.
struct ParsedOutput {
  std::string reasoning;
  std::string content;
  std::vector<ChatToolCall> tool_calls;
  bool has_open_call = false;
};
ParsedOutput parse_output(std::string_view text, const ToolSet& tools, OutputParserOptions options,
                          bool truncated = false);

}  // namespace millrace::engine
