#include "engine/text/delta_sink.h"

namespace millrace::engine {

void DeltaSink::start_call(std::string name) {
  deltas_.push_back({OutputDelta::Kind::kToolCallStart, "", calls_++, make_call_id_(), std::move(name)});
}

void DeltaSink::append(OutputDelta::Kind kind, int tool_index, std::string_view text) {
  if (text.empty()) return;
  const bool joins = !deltas_.empty() && deltas_.back().kind == kind && deltas_.back().tool_index == tool_index;
  if (joins) {
    deltas_.back().text += text;
  } else {
    deltas_.push_back({kind, std::string(text), tool_index, "", ""});
  }
}

}  // namespace millrace::engine
