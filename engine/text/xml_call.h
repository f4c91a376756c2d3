// The body of one tool call in the Qwen3.5 syntax, from behind "<function=" to behind "</function>", while it streams.
// Arguments come out as fragments of one JSON object; string values piece by piece, others when complete.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/text/delta_sink.h"
#include "engine/text/tool_set.h"

namespace millrace::engine {

class XmlCall {
 public:
  // tools must outlive the call.
  explicit XmlCall(const ToolSet& tools) : tools_(tools) {}

  // Takes what is decided of the text and returns how many bytes that were; the caller passes the rest again with more
  // behind it. With `last`, no more text will come.
  std::size_t consume(std::string_view text, bool last, DeltaSink& sink);

  bool done() const { return state_ == State::kDone; }
  // The model ended its answer here: closes the JSON if only closing tags are missing.
  void end_of_answer(DeltaSink& sink);

 private:
  enum class State { kName, kBetween, kKey, kValueStart, kValue, kDone };

  std::size_t step(std::string_view text, bool last, DeltaSink& sink);
  std::size_t read_name(std::string_view text, DeltaSink& sink);
  std::size_t read_between(std::string_view text, DeltaSink& sink);
  std::size_t read_key(std::string_view text, DeltaSink& sink);
  std::size_t start_value(std::string_view text);
  std::size_t read_value(std::string_view text, bool last, DeltaSink& sink);
  void add_value(std::string_view text, DeltaSink& sink);
  void end_value(DeltaSink& sink);
  void close(DeltaSink& sink);

  const ToolSet& tools_;
  const ToolSignature* signature_ = nullptr;
  State state_ = State::kName;
  bool any_argument_ = false;
  ArgumentType type_;
  std::string value_;          // not yet given out
  bool string_open_ = false;   // the opening quote is out
  bool at_line_start_ = true;  // in a value
};

}  // namespace millrace::engine
