// First byte: options. Second byte: how the text is cut into pieces. Rest: model output.
#include <nlohmann/json.hpp>

#include "engine/text/output_parser.h"
#include "engine/text/utf8.h"
#include "tests/fuzz/fuzz_check.h"

namespace millrace::engine {
namespace {

using fuzz::check;

const ToolSet& tools() {
  static const ToolSet set =
      ToolSet::parse(nlohmann::ordered_json::parse(R"([{"name": "f", "parameters": {"properties": {
      "s": {"type": "string"}, "i": {"type": "integer"}, "n": {"type": "number"}, "b": {"type": "boolean"},
      "o": {"type": "object"}, "z": {"type": ["string", "null"]}}}}, {"name": "g"}])"));
  return set;
}

OutputParserOptions options_of(std::uint8_t bits) {
  OutputParserOptions options;
  options.format = bits & 1 ? ChatFormat::kQwq : ChatFormat::kThinkingOn;
  options.parse_tool_calls = bits & 2;
  options.parse_reasoning = bits & 4;
  options.starts_in_reasoning = bits & 8;
  options.make_call_id = [] { return std::string("call_"); };
  return options;
}

struct Answer {
  std::string reasoning, content;
  std::vector<std::string> calls;
  bool operator==(const Answer&) const = default;
};

void collect(const std::vector<OutputDelta>& deltas, Answer& answer) {
  for (const OutputDelta& delta : deltas) {
    if (delta.kind == OutputDelta::Kind::kReasoning) answer.reasoning += delta.text;
    if (delta.kind == OutputDelta::Kind::kContent) answer.content += delta.text;
    if (delta.kind == OutputDelta::Kind::kToolCallStart) answer.calls.push_back("");
    if (delta.kind != OutputDelta::Kind::kToolCallArguments) continue;
    check(delta.tool_index + 1 == static_cast<int>(answer.calls.size()), "arguments belong to the last call");
    answer.calls.back() += delta.text;
  }
}

Answer parse(std::string_view text, std::uint8_t bits, std::size_t step) {
  OutputParser parser(tools(), options_of(bits));
  Answer answer;
  for (; !text.empty(); text.remove_prefix(std::min(step, text.size())))
    collect(parser.feed(text.substr(0, step)), answer);
  collect(parser.finish(bits & 16), answer);
  for (std::size_t i = 0; i < answer.calls.size(); ++i) {
    const bool open = parser.has_open_call() && i + 1 == answer.calls.size();
    const bool utf8 = is_valid_utf8(answer.calls[i]);
    check(open || !utf8 || nlohmann::json::accept(answer.calls[i]), "the arguments of a closed call are JSON");
  }
  return answer;
}

}  // namespace
}  // namespace millrace::engine

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace::engine;
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Answer whole = parse(text, data[0], text.size() + 1);
  millrace::fuzz::check(parse(text, data[0], 1) == whole, "byte by byte gives the same answer");
  millrace::fuzz::check(parse(text, data[0], data[1] % 16 + 2u) == whole, "pieces give the same answer");
  return 0;
}
