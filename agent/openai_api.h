// The public port: the OpenAI API and its neighbours.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/admission.h"
#include "agent/api_error.h"
#include "agent/engine_slot.h"
#include "agent/generation_request.h"
#include "agent/metrics.h"
#include "agent/model_text.h"
#include "agent/unknown_fields.h"
#include "common/access_token.h"
#include "common/http.h"
#include "common/worker_pool.h"

namespace millrace::agent {

// What the API works with. Outlives it.
struct OpenAiServices {
  const ModelText& text;
  EngineSlot& slot;
  Admission& admission;
  common::WorkerPool& intake;  // parses and tokenises
  common::WorkerPool& output;  // detokenises
  AgentMetrics& metrics;
  std::string served_model_name;
  std::string version;
  std::optional<common::AccessToken> api_key;
  std::vector<std::string> cors_origins;       // "*": any; empty: none
  std::function<std::string()> group_trouble;  // why no request can be answered; empty when they can
};

class OpenAiApi {
 public:
  explicit OpenAiApi(OpenAiServices services);

  // Never blocks; generations are answered later. Any thread.
  common::HttpReply handle(common::HttpRequest request);
  // As POST /v1/chat/completions, whatever the request's path and key.
  common::HttpReply chat(common::HttpRequest request);

 private:
  struct Route;
  static const Route kRoutes[];

  common::HttpReply models(common::HttpRequest request);
  common::HttpReply model(std::string_view encoded_name);
  common::HttpReply health(common::HttpRequest request);
  common::HttpReply version(common::HttpRequest request);
  common::HttpReply chat_completions(common::HttpRequest request);
  common::HttpReply completions(common::HttpRequest request);
  common::HttpReply tokenize(common::HttpRequest request);
  common::HttpReply detokenize(common::HttpRequest request);

  common::HttpReply answer(common::HttpRequest request);
  template <typename Work>
  common::HttpReply measured(Work work, const std::string& route);
  common::HttpReply dispatch(common::HttpRequest request, std::string& route);
  common::HttpReply wrong_method(const common::HttpRequest& request, const std::string& allowed) const;
  template <typename Plan>
  common::HttpReply generate(common::HttpRequest request, Plan plan);
  template <typename Answer>
  common::HttpReply later(common::HttpRequest request, Answer answer);
  ModelLimits limits() const;  // throws ApiError (503) without an engine
  void check_key(const common::HttpRequest& request) const;
  Json model_card() const;

  const OpenAiServices services_;
  const std::int64_t started_;  // Unix seconds
  UnknownFields unknown_fields_;
};

}  // namespace millrace::agent
