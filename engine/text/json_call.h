// The body of one tool call in the JSON syntax of QwQ: <tool_call>{"name": ..., "arguments": {...}}</tool_call>, from
// behind "<tool_call>" to behind the object. The call comes out when the object is complete.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/text/delta_sink.h"

namespace millrace::engine {

class JsonCall {
 public:
  // Takes what is decided of the text and returns how many bytes that were.
  std::size_t consume(std::string_view text, DeltaSink& sink);

  bool done() const { return done_; }
  // What was taken since the start, to show as text when the call never completes.
  const std::string& raw() const { return raw_; }

 private:
  bool advance(char c);
  void emit(DeltaSink& sink);

  std::string raw_;
  int depth_ = 0;
  bool in_string_ = false, escaped_ = false;
  bool done_ = false;
};

}  // namespace millrace::engine
