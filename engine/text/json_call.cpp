#include "engine/text/json_call.h"

#include <nlohmann/json.hpp>

#include "engine/text/markup.h"
#include "engine/text/python_text.h"

namespace millrace::engine {
namespace {

using nlohmann::ordered_json;

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
    raw_ += text[i];
    if (!advance(text[i])) continue;
    done_ = true;
    emit(sink);
    return i + 1;
  }
  return text.size();
}

// True when the outermost object has just ended.
bool JsonCall::advance(char c) {
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
    }
    return false;
  }
  if (c == '"') in_string_ = true;
  if (c == '{' || c == '[') ++depth_;
  if (c == '}' || c == ']') return --depth_ <= 0;
  return false;
}

void JsonCall::emit(DeltaSink& sink) {
  const ordered_json call = ordered_json::parse(raw_, nullptr, false);
  const auto name = call.is_object() ? call.find("name") : call.end();
  if (!call.is_object() || name == call.end() || !name->is_string()) {
    sink.content("<tool_call>" + raw_);
    return;
  }
  sink.start_call(name->get<std::string>());
  sink.arguments(arguments_of(call));
}

}  // namespace millrace::engine
