#include "agent/answer_json.h"

namespace millrace::agent {
namespace {

// Code points, because clients index the text by them.
std::int64_t count_characters(const std::string& text) {
  std::int64_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

class CompletionFormat : public ResponseFormat {
 public:
  CompletionFormat(AnswerHead head, std::vector<std::string> echo) : head_(std::move(head)), echo_(std::move(echo)) {}

  std::string opening(int choice) override {
    if (echo_.empty()) return {};
    ChoiceDelta delta;
    delta.content = echo_.at(static_cast<std::size_t>(choice));
    return chunk(choice, delta, nullptr);
  }

  std::string chunk(int choice, const ChoiceDelta& delta, const Usage* usage) override {
    Json json = answer_head(head_, "text_completion");
    json["choices"] = Json::array({choice_json(choice, delta.content, delta)});
    if (head_.include_usage) json["usage"] = usage != nullptr ? usage_json(*usage) : Json(nullptr);
    return dump(json);
  }

  std::string usage_chunk(const Usage& usage) override {
    Json json = answer_head(head_, "text_completion");
    json["choices"] = Json::array();
    json["usage"] = usage_json(usage);
    return dump(json);
  }

  std::string whole(const std::vector<ChoiceDelta>& choices, const Usage& usage) override {
    Json json = answer_head(head_, "text_completion");
    Json& list = json["choices"] = Json::array();
    for (std::size_t i = 0; i < choices.size(); ++i) {
      const std::string prompt = echo_.empty() ? "" : echo_.at(i);
      list.push_back(choice_json(static_cast<int>(i), prompt + choices[i].content, choices[i]));
    }
    json["usage"] = usage_json(usage);
    return dump(json);
  }

 private:
  Json choice_json(int index, const std::string& text, const ChoiceDelta& delta) {
    Json json = {{"index", index},
                 {"text", text},
                 {"logprobs", logprobs_json(index, delta)},
                 {"finish_reason", finish_reason_json(delta)}};
    if (delta.finish_reason) json["stop_reason"] = stop_reason_json(delta);
    if (!delta.token_ids.empty()) json["token_ids"] = delta.token_ids;
    return json;
  }

  Json logprobs_json(int index, const ChoiceDelta& delta) {
    if (delta.logprobs.empty()) return nullptr;
    offsets_.resize(std::max(offsets_.size(), static_cast<std::size_t>(index) + 1));
    Json tokens = Json::array();
    Json logprobs = Json::array();
    Json tops = Json::array();
    Json offsets = Json::array();
    for (const TokenLogprobText& entry : delta.logprobs) {
      tokens.push_back(entry.token.text);
      logprobs.push_back(entry.token.logprob);
      Json top = {{entry.token.text, entry.token.logprob}};
      for (const TokenText& other : entry.top) top[other.text] = other.logprob;
      tops.push_back(std::move(top));
      offsets.push_back(offsets_[static_cast<std::size_t>(index)]);
      offsets_[static_cast<std::size_t>(index)] += count_characters(entry.token.text);
    }
    return {{"tokens", std::move(tokens)},
            {"token_logprobs", std::move(logprobs)},
            {"top_logprobs", std::move(tops)},
            {"text_offset", std::move(offsets)}};
  }

  AnswerHead head_;
  std::vector<std::string> echo_;
  std::vector<std::int64_t> offsets_;  // of the next token, per choice
};

}  // namespace

std::unique_ptr<ResponseFormat> make_completion_format(AnswerHead head, std::vector<std::string> echo) {
  return std::make_unique<CompletionFormat>(std::move(head), std::move(echo));
}

}  // namespace millrace::agent
