// The body of one tool call in the JSON syntax of QwQ: <tool_call>{"name": ..., "arguments": {...}}</tool_call>, from
// behind "<tool_call>" to behind the object. Where the name comes before an object of arguments, as the template shows
// it, the arguments stream as the model writes them; otherwise the call comes out when its object is complete.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "engine/text/delta_sink.h"
#include "engine/text/json_scanner.h"

namespace millrace::engine {

class JsonCall {
 public:
  // Takes what belongs to the call and returns how many bytes that were. Independent of how the text is cut.
  std::size_t consume(std::string_view text, DeltaSink& sink);

  bool done() const { return done_; }        // its end, or something that is not JSON, was found
  bool is_call() const { return started_; }  // else all of raw() is text; shown already when done
  // The arguments began and are not complete JSON; they never will be when done.
  bool is_open() const { return streaming_; }
  const std::string& raw() const { return raw_; }

 private:
  void note(JsonScanner::Step step, int depth, std::string_view piece, DeltaSink& sink);
  std::optional<std::string> marked_text() const;
  void emit(DeltaSink& sink);

  JsonScanner scanner_;
  std::string raw_;       // as written, until the call starts
  std::string json_;      // the same with control characters in strings escaped
  std::size_t mark_ = 0;  // where the last key or value of the outermost object began
  std::string key_;
  std::optional<std::string> name_;
  bool started_ = false, streaming_ = false, done_ = false;
};

}  // namespace millrace::engine
