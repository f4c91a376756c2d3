#include "engine/text/json_call.h"

#include <nlohmann/json.hpp>

#include "engine/text/python_text.h"

namespace millrace::engine {
namespace {

using nlohmann::ordered_json;
using Step = JsonScanner::Step;

// The arguments as JSON text; some models write them as a string that contains JSON.
std::string arguments_of(const ordered_json& call) {
  for (const char* name : {"arguments", "parameters"}) {
    const auto it = call.find(name);
    if (it == call.end()) continue;
    if (it->is_string() && is_json(it->get_ref<const std::string&>())) return it->get<std::string>();
    return python_json(*it);
  }
  return "{}";
}

}  // namespace

std::size_t JsonCall::consume(std::string_view text, DeltaSink& sink) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    std::string piece(1, c);
    if (scanner_.in_string() && static_cast<unsigned char>(c) < 0x20) {
      piece.clear();
      append_json_escaped(text.substr(i, 1), piece);
    }
    const int depth = scanner_.depth();
    const Step step = scanner_.push(c);
    done_ = step == Step::kInvalid || scanner_.complete();
    if (step == Step::kInvalid) {
      if (!started_) sink.content("<tool_call>" + raw_);
      return i;
    }
    if (!started_) raw_ += c;
    note(step, depth, piece, sink);
    if (!done_) continue;
    if (!started_) emit(sink);
    return i + 1;
  }
  return text.size();
}

// `depth` is that before the byte.
void JsonCall::note(Step step, int depth, std::string_view piece, DeltaSink& sink) {
  if (streaming_) {
    sink.arguments(piece);
    streaming_ = step != Step::kValueEnd || scanner_.depth() > 1;
  }
  if (started_) return;
  json_ += piece;
  if (depth != 1) return;
  if (step == Step::kKeyBegin || step == Step::kValueBegin) mark_ = json_.size() - 1;
  if (step == Step::kKeyEnd) key_ = marked_text().value_or("");
  if (step == Step::kValueEnd && key_ == "name") name_ = marked_text();
  const bool is_arguments = key_ == "arguments" || key_ == "parameters";
  if (step != Step::kValueBegin || !is_arguments || piece != "{" || !name_) return;
  sink.start_call(*name_);
  sink.arguments(piece);
  started_ = streaming_ = true;
}

// The key or string that ends here.
std::optional<std::string> JsonCall::marked_text() const {
  const ordered_json value = ordered_json::parse(json_.substr(mark_), nullptr, false);
  if (!value.is_string()) return std::nullopt;
  return value.get<std::string>();
}

void JsonCall::emit(DeltaSink& sink) {
  const ordered_json call = ordered_json::parse(json_, nullptr, false);
  const auto name = call.is_object() ? call.find("name") : call.end();
  if (!call.is_object() || name == call.end() || !name->is_string()) {
    sink.content("<tool_call>" + raw_);
    return;
  }
  started_ = true;
  sink.start_call(name->get<std::string>());
  sink.arguments(arguments_of(call));
}

}  // namespace millrace::engine
