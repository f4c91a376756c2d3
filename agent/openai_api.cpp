#include "agent/openai_api.h"

#include <chrono>

#include "agent/answer_headers.h"
#include "agent/answer_json.h"
#include "agent/generation.h"
#include "agent/generation_plan.h"
#include "agent/json_body.h"
#include "agent/random_id.h"
#include "agent/token_requests.h"
#include "common/log.h"

namespace millrace::agent {
namespace {

using common::HttpDeferred;
using common::HttpReply;
using common::HttpRequest;
using common::HttpResponse;

constexpr std::size_t kMaxQueuedSmallJobs = 64;  // tokenize and detokenize
constexpr std::string_view kModelPrefix = "/v1/models/";

std::int64_t unix_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

AnswerStamp stamp(const char* prefix) {
  return {.id = random_id(prefix), .created = unix_seconds()};
}

// Runs one unit of work; what it throws becomes an answer.
template <typename Work>
std::optional<HttpResponse> guarded(Work work) {
  try {
    work();
    return std::nullopt;
  } catch (const ApiError& error) {
    return error_response(error);
  } catch (const common::Error& error) {
    return error_response(from_error(error));
  } catch (const std::exception& error) {
    common::log_error("request failed", {{"error", error.what()}});
    return error_response(internal_error("internal error"));
  }
}

}  // namespace

struct OpenAiApi::Route {
  std::string_view method;
  std::string_view path;
  bool open;  // needs no API key
  HttpReply (OpenAiApi::*handler)(HttpRequest);
};

const OpenAiApi::Route OpenAiApi::kRoutes[] = {
    {"GET", "/health", true, &OpenAiApi::health},
    {"GET", "/ping", true, &OpenAiApi::health},
    {"POST", "/ping", true, &OpenAiApi::health},
    {"GET", "/version", true, &OpenAiApi::version},
    {"GET", "/v1/models", false, &OpenAiApi::models},
    {"POST", "/v1/chat/completions", false, &OpenAiApi::chat_completions},
    {"POST", "/v1/completions", false, &OpenAiApi::completions},
    {"POST", "/tokenize", false, &OpenAiApi::tokenize},
    {"POST", "/detokenize", false, &OpenAiApi::detokenize},
};

OpenAiApi::OpenAiApi(OpenAiServices services) : services_(std::move(services)), started_(unix_seconds()) {}

HttpReply OpenAiApi::handle(HttpRequest request) {
  common::HttpHeaders headers = cors_headers(services_.cors_origins, request);
  headers.emplace_back("X-Request-Id", request_id(request));
  return with_headers(answer(std::move(request)), std::move(headers));
}

HttpReply OpenAiApi::answer(HttpRequest request) {
  std::string route = "other";
  return measured([&] { return dispatch(std::move(request), route); }, route);
}

HttpReply OpenAiApi::chat(HttpRequest request) {
  const std::string route = request.path;
  return measured([&] { return chat_completions(std::move(request)); }, route);
}

// `route` may be found while `work` runs.
template <typename Work>
HttpReply OpenAiApi::measured(Work work, const std::string& route) {
  HttpReply reply;
  const auto refusal = guarded([&] { reply = work(); });
  if (refusal) reply = *refusal;
  if (auto* response = std::get_if<HttpResponse>(&reply)) {
    // While draining, clients should connect anew and land on another replica.
    if (services_.admission.draining()) response->close = true;
    services_.metrics.answered(route, response->status);
  }
  return reply;
}

HttpReply OpenAiApi::dispatch(HttpRequest request, std::string& route) {
  std::string_view method = request.method;
  if (method == "HEAD") method = "GET";
  std::string allowed;
  for (const Route& candidate : kRoutes) {
    if (candidate.path != request.path) continue;
    route = candidate.path;
    if (candidate.method != method) {
      allowed += (allowed.empty() ? "" : ", ") + std::string(candidate.method);
      continue;
    }
    if (!candidate.open) check_key(request);
    return (this->*candidate.handler)(std::move(request));
  }
  if (request.path.starts_with(kModelPrefix)) {
    route = "/v1/models/{model}";
    if (method != "GET") return wrong_method(request, "GET");
    check_key(request);
    return model(std::string_view(request.path).substr(kModelPrefix.size()));
  }
  if (!allowed.empty()) return wrong_method(request, allowed);
  throw not_found("there is no " + request.method.substr(0, 20) + " " + request.path.substr(0, 200));
}

// OPTIONS is answered wherever something is, also for the preflight requests of browsers, which carry no key.
HttpReply OpenAiApi::wrong_method(const HttpRequest& request, const std::string& allowed) const {
  HttpResponse response;
  if (request.method == "OPTIONS") {
    response.status = 204;
    response.content_type.clear();
  } else {
    response = error_response(405, request.method.substr(0, 20) + " is not allowed here; use " + allowed);
  }
  response.headers.emplace_back("Allow", allowed + ", OPTIONS");
  return response;
}

void OpenAiApi::check_key(const HttpRequest& request) const {
  if (!services_.api_key || services_.api_key->accepts(request)) return;
  throw unauthorized("no or wrong API key; send the header Authorization: Bearer <key>");
}

ModelLimits OpenAiApi::limits() const {
  ModelLimits limits;
  const bool running = services_.slot.use([&](engine::Engine& engine) {
    limits.max_model_len = engine.info().max_model_len;
    limits.vocab = std::min<std::int64_t>(engine.info().vocab, services_.text.tokenizer.size());
  });
  std::string reason = services_.group_trouble();
  if (!running && reason.empty()) reason = "the engine is not running";
  if (!reason.empty()) {
    services_.metrics.rejected("not_ready");
    throw unavailable("the model is not ready: " + reason);
  }
  limits.served_model_name = services_.served_model_name;
  limits.defaults = services_.text.defaults;
  return limits;
}

HttpReply OpenAiApi::health(HttpRequest) {
  const std::string reason = services_.admission.draining() ? "draining" : services_.group_trouble();
  if (!reason.empty()) throw unavailable(reason);
  return json_response({{"status", "ok"}});
}

HttpReply OpenAiApi::version(HttpRequest) {
  return json_response({{"version", services_.version}});
}

HttpReply OpenAiApi::models(HttpRequest) {
  return json_response({{"object", "list"}, {"data", Json::array({model_card()})}});
}

HttpReply OpenAiApi::model(std::string_view encoded_name) {
  const std::string name = common::percent_decode(encoded_name);
  if (name != services_.served_model_name) {
    throw not_found("the model \"" + name.substr(0, 200) + "\" does not exist; this server has \"" +
                        services_.served_model_name + "\"",
                    "model", "model_not_found");
  }
  return json_response(model_card());
}

// The length is known once an engine runs.
Json OpenAiApi::model_card() const {
  Json max_model_len = nullptr;
  services_.slot.use([&](engine::Engine& engine) { max_model_len = engine.info().max_model_len; });
  return {{"id", services_.served_model_name},
          {"object", "model"},
          {"created", started_},
          {"owned_by", "millrace"},
          {"root", services_.served_model_name},
          {"parent", nullptr},
          {"max_model_len", max_model_len}};
}

// Admission comes first: overload is answered before anything is parsed or tokenised.
template <typename Plan>
HttpReply OpenAiApi::generate(HttpRequest request, Plan plan) {
  const auto arrival = Generation::Clock::now();
  services_.metrics.arrived();
  auto entry = services_.admission.enter();
  if (const auto* refusal = std::get_if<Admission::Refusal>(&entry)) {
    const bool draining = *refusal == Admission::Refusal::kDraining;
    services_.metrics.rejected(draining ? "draining" : "queue_full");
    throw draining ? unavailable("this replica is draining; retry")
                   : overloaded("too many requests in flight; try again later");
  }
  const ModelLimits model_limits = limits();
  auto ticket = std::get<std::shared_ptr<Admission::Ticket>>(std::move(entry));
  const std::string route = request.path;
  return HttpDeferred([this, plan, model_limits, arrival, ticket = std::move(ticket), route,
                       body = std::move(request.body)](std::shared_ptr<common::HttpWriter> writer) mutable {
    services_.intake.post([this, plan, model_limits, arrival, ticket = std::move(ticket), route, body = std::move(body),
                           writer = std::move(writer)]() mutable {
      const GenerationServices services{services_.slot, services_.text.tokenizer, services_.output, services_.metrics};
      auto refusal = guarded([&] {
        Generation::start(plan(parse_json_body(body), model_limits), services, writer, std::move(ticket), arrival);
      });
      services_.metrics.answered(route, refusal ? refusal->status : 200);
      if (!refusal) return;
      if (refusal->status >= 500) services_.metrics.broke();
      writer->respond(std::move(*refusal));
    });
  });
}

HttpReply OpenAiApi::chat_completions(HttpRequest request) {
  return generate(std::move(request), [this](const Json& body, const ModelLimits& model_limits) {
    ChatRequest chat = parse_chat_request(body, model_limits);
    unknown_fields_.log(chat.generation.unknown_fields);
    return plan_chat(std::move(chat), services_.text, model_limits, stamp("chatcmpl-"));
  });
}

HttpReply OpenAiApi::completions(HttpRequest request) {
  return generate(std::move(request), [this](const Json& body, const ModelLimits& model_limits) {
    CompletionRequest completion = parse_completion_request(body, model_limits);
    unknown_fields_.log(completion.generation.unknown_fields);
    return plan_completion(std::move(completion), services_.text, model_limits, stamp("cmpl-"));
  });
}

// Off the server's threads: a long text takes a while.
template <typename Answer>
HttpReply OpenAiApi::later(HttpRequest request, Answer answer) {
  const ModelLimits model_limits = limits();
  return HttpDeferred([this, answer, model_limits, route = request.path,
                       body = std::move(request.body)](std::shared_ptr<common::HttpWriter> writer) {
    const bool taken = services_.intake.try_post(
        [this, answer, model_limits, route, body, writer] {
          HttpResponse response;
          auto refusal = guarded([&] { response = json_response(answer(parse_json_body(body), model_limits)); });
          if (refusal) response = std::move(*refusal);
          services_.metrics.answered(route, response.status);
          writer->respond(std::move(response));
        },
        kMaxQueuedSmallJobs);
    if (taken) return;
    services_.metrics.answered(route, 429);
    writer->respond(error_response(overloaded("too many requests wait; try again later")));
  });
}

HttpReply OpenAiApi::tokenize(HttpRequest request) {
  return later(std::move(request), [this](const Json& body, const ModelLimits& model_limits) {
    return answer_tokenize(body, services_.text, model_limits);
  });
}

HttpReply OpenAiApi::detokenize(HttpRequest request) {
  return later(std::move(request), [this](const Json& body, const ModelLimits& model_limits) {
    return answer_detokenize(body, services_.text, model_limits);
  });
}

}  // namespace millrace::agent
