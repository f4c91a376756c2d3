#include "agent/chat_request.h"

#include <array>
#include <limits>

#include "agent/chat_messages.h"

namespace millrace::agent {
namespace {

constexpr std::size_t kMaxTools = 256;
constexpr std::int64_t kMaxTopLogprobs = 20;

void check_tool(const Json& json, const std::string& path) {
  const RequestFields tool(json, path);
  const std::string type = tool.required_text("type");
  if (type != "function") throw tool.wrong("type", type, "\"function\"");
  const Json* function = tool.object("function");
  if (function == nullptr) {
    throw bad_request(tool.param("function"), tool.param("function") + " is missing; expected an object",
                      "missing_required_parameter");
  }
  const RequestFields fields(*function, tool.param("function"));
  if (fields.required_text("name").empty()) throw fields.wrong("name", "", "a name");
  fields.text("description");
  fields.object("parameters");
}

// What the choice must be for tools to be offered at all.
bool wants_tools(const RequestFields& fields, bool has_tools) {
  const Json* choice = fields.find("tool_choice");
  if (choice == nullptr) return true;
  if (*choice == "none") return false;
  if (*choice == "auto") {
    if (has_tools) return true;
    throw bad_request("tool_choice", "tool_choice is \"auto\", but tools is missing; accepted with tools only");
  }
  throw bad_request(
      "tool_choice",
      "tool_choice other than \"none\" and \"auto\" needs constrained decoding, which this server does not "
      "have; use \"auto\" or \"none\"",
      "unsupported_value");
}

void read_tools(const RequestFields& fields, ChatRequest& request) {
  const Json* tools = fields.array("tools", kMaxTools);
  const bool has_tools = tools != nullptr && !tools->empty();
  if (has_tools) {
    for (std::size_t i = 0; i < tools->size(); ++i) check_tool((*tools)[i], fields.param("tools", i));
  }
  if (wants_tools(fields, has_tools) && has_tools) request.tools = engine::ToolSet::parse(*tools);
  request.parallel_tool_calls = fields.flag("parallel_tool_calls").value_or(true);
}

std::optional<bool> thinking_by_effort(const RequestFields& fields) {
  const auto effort = fields.text("reasoning_effort");
  if (!effort) return std::nullopt;
  if (*effort == "none") return false;
  for (const std::string_view level : {"minimal", "low", "medium", "high", "xhigh", "max"}) {
    if (*effort == level) return true;
  }
  throw fields.wrong("reasoning_effort", *effort, "none, minimal, low, medium, high, xhigh or max");
}

// The most specific wins: chat_template_kwargs, then the bare field, then the effort.
std::optional<bool> read_enable_thinking(const RequestFields& fields) {
  const auto by_effort = thinking_by_effort(fields);
  const auto bare = fields.flag("enable_thinking");
  if (const Json* kwargs = fields.object("chat_template_kwargs")) {
    const auto nested = RequestFields(*kwargs, "chat_template_kwargs").flag("enable_thinking");
    if (nested) return nested;
  }
  return bare ? bare : by_effort;
}

void read_logprobs(const RequestFields& fields, engine::SamplingParams& params) {
  const bool logprobs = fields.flag("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, kMaxTopLogprobs);
  if (top.value_or(0) > 0 && !logprobs) {
    throw bad_request("top_logprobs", "top_logprobs is set, but logprobs is not true; set logprobs to true");
  }
  if (logprobs) params.logprobs = static_cast<std::int32_t>(top.value_or(0));
}

}  // namespace

void parse_chat_rendering(const RequestFields& fields, ChatRequest& request) {
  request.messages = parse_chat_messages(fields);
  read_tools(fields, request);
  engine::ChatOptions& options = request.options;
  options.enable_thinking = read_enable_thinking(fields);
  options.continue_final_message = fields.flag("continue_final_message").value_or(false);
  const auto add_prompt = fields.flag("add_generation_prompt");
  if (options.continue_final_message) {
    if (add_prompt.value_or(false)) {
      throw bad_request("continue_final_message",
                        "continue_final_message and add_generation_prompt are both true; at most one is accepted");
    }
    if (request.messages.back().role != "assistant") {
      throw bad_request("continue_final_message", "continue_final_message is true, but the last message's role is \"" +
                                                      request.messages.back().role + "\"; expected assistant");
    }
  }
  options.add_generation_prompt = add_prompt.value_or(!options.continue_final_message);
}

ChatRequest parse_chat_request(const Json& body, const ModelLimits& limits) {
  const RequestFields fields(body, "");
  ChatRequest request;
  request.generation = parse_generation_fields(fields, limits);
  parse_chat_rendering(fields, request);
  read_logprobs(fields, request.generation.params);
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const auto deprecated = fields.integer("max_tokens", 1, kMost);
  const auto current = fields.integer("max_completion_tokens", 1, kMost);
  request.generation.max_tokens = current ? current : deprecated;
  request.include_reasoning = fields.flag("include_reasoning").value_or(true);
  request.generation.unknown_fields = fields.unread();
  return request;
}

}  // namespace millrace::agent
