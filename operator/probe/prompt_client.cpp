#include "operator/probe/prompt_client.h"

#include <nlohmann/json.hpp>

#include "common/error.h"

namespace millrace::controller {

using Json = nlohmann::json;

std::string HttpPromptClient::ask(const AgentAddress& leader, const std::string& prompt, std::int32_t max_tokens) {
  const Json message = {{"role", "user"}, {"content", prompt}};
  const Json question = {
      {"messages", Json::array({message})}, {"max_tokens", max_tokens}, {"temperature", 0}, {"enable_thinking", false}};
  const std::string body = common::call_agent(leader, "POST", "/admin/v1/chat/completions", question.dump(), limits_);
  const Json answer = Json::parse(body, nullptr, false);
  const Json::json_pointer content("/choices/0/message/content");
  if (answer.is_discarded() || !answer.contains(content)) {
    throw common::Error(common::Code::kDataLoss, "the agent at " + leader.ip + " answered no chat completion");
  }
  return answer[content].is_string() ? answer[content].get<std::string>() : std::string();  // null: nothing was said
}

}  // namespace millrace::controller
