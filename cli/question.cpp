#include "cli/question.h"

#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/http_client.h"
#include "common/sse.h"

namespace millrace::cli {
namespace {

using common::Code;
using common::Error;
using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

// The error's message out of OpenAI's error object, or the start of the body.
std::string refusal(const common::HttpResponse& response) {
  const Json body = Json::parse(response.body, nullptr, false);
  const Json::json_pointer message("/error/message");
  if (body.is_object() && body.contains(message) && body[message].is_string()) return body[message].get<std::string>();
  return response.body.substr(0, 300);
}

std::string text_at(const Json& json, const char* pointer) {
  const Json::json_pointer where(pointer);
  return json.contains(where) && json[where].is_string() ? json[where].get<std::string>() : "";
}

common::HttpCall call_of(const Question& question) {
  common::HttpCall call;
  call.host = question.host;
  call.port = question.port;
  call.method = "POST";
  call.target = "/v1/chat/completions";
  call.timeout = std::chrono::seconds(60);
  call.tls = question.tls;
  if (!question.api_key.empty()) call.headers = {{"Authorization", "Bearer " + question.api_key}};
  const Json message = {{"role", "user"}, {"content", question.text}};
  const Json body = {{"model", question.model},
                     {"messages", Json::array({message})},
                     {"max_tokens", question.max_tokens},
                     {"temperature", 0},
                     {"stream", true},
                     {"stream_options", {{"include_usage", true}}}};
  call.body = body.dump();
  return call;
}

}  // namespace

double Answer::tokens_per_second() const {
  const double seconds = (total - first_token).count();
  return completion_tokens > 1 && seconds > 0 ? static_cast<double>(completion_tokens - 1) / seconds : 0;
}

Answer ask(const Question& question, const std::function<bool(const std::string&, bool)>& on_text) {
  Answer answer;
  const Clock::time_point begin = Clock::now();
  bool stopped = false;
  const auto take = [&](const std::string& piece, bool reasoning) {
    if (piece.empty() || stopped) return;
    if (answer.first_token.count() == 0) answer.first_token = Clock::now() - begin;
    answer.total = Clock::now() - begin;
    (reasoning ? answer.reasoning : answer.text) += piece;
    stopped = !on_text(piece, reasoning);
  };
  common::SseParser parser;
  const common::HttpResponse response = common::http_stream(call_of(question), [&](std::string_view data) {
    for (const std::string& event : parser.feed(data)) {
      const Json chunk = Json::parse(event, nullptr, false);
      if (!chunk.is_object()) continue;  // "[DONE]"
      if (chunk.contains("error")) throw Error(Code::kUnavailable, text_at(chunk, "/error/message"));
      take(text_at(chunk, "/choices/0/delta/reasoning_content"), true);
      take(text_at(chunk, "/choices/0/delta/content"), false);
      const Json::json_pointer usage("/usage/completion_tokens");
      if (chunk.contains(usage) && chunk[usage].is_number()) {
        answer.completion_tokens = chunk[usage].get<std::int64_t>();
        answer.prompt_tokens = chunk.at("usage").value("prompt_tokens", std::int64_t{0});
      }
    }
    return !stopped;
  });
  if (response.status != 200) {
    throw Error(Code::kUnavailable,
                "the endpoint answered " + std::to_string(response.status) + ": " + refusal(response));
  }
  return answer;
}

}  // namespace millrace::cli
