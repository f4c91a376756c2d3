// Collects the deltas of one feed; neighbours of the same kind and call are joined.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/output_parser.h"

namespace millrace::engine {

class DeltaSink {
 public:
  explicit DeltaSink(std::function<std::string()> make_call_id) : make_call_id_(std::move(make_call_id)) {}

  void reasoning(std::string_view text) { append(OutputDelta::Kind::kReasoning, -1, text); }
  void content(std::string_view text) { append(OutputDelta::Kind::kContent, -1, text); }
  void start_call(std::string name);
  void arguments(std::string_view text) { append(OutputDelta::Kind::kToolCallArguments, calls_ - 1, text); }

  int calls() const { return calls_; }
  std::vector<OutputDelta> take() { return std::exchange(deltas_, {}); }

 private:
  void append(OutputDelta::Kind kind, int tool_index, std::string_view text);

  std::function<std::string()> make_call_id_;
  std::vector<OutputDelta> deltas_;
  int calls_ = 0;
};

}  // namespace millrace::engine
