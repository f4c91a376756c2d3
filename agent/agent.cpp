#include "agent/agent.h"

#include "agent/admin_api.h"
#include "agent/admission.h"
#include "agent/api_error.h"
#include "agent/engine_slot.h"
#include "agent/group.h"
#include "agent/metrics.h"
#include "agent/model_text.h"
#include "agent/openai_api.h"
#include "agent/version.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/worker_pool.h"

namespace millrace::agent {
namespace {

constexpr int kIntakeThreads = 2;
constexpr int kOutputThreads = 2;
constexpr std::chrono::milliseconds kFlushGrace{5000};  // for the last bytes of answers, after the last token

GroupOptions group_options(const AgentOptions& options, const ModelText& text) {
  const common::AgentConfig& config = options.config;
  GroupOptions group;
  group.engine.model_directory = options.model_directory;
  group.engine.backend = config.backend;
  group.engine.threads = config.threads;
  group.engine.redundant_expert_slots = config.redundant_expert_slots;
  group.engine.max_model_len = config.max_model_len;
  group.engine.max_num_seqs = config.max_num_seqs;
  group.engine.max_num_batched_tokens = config.max_num_batched_tokens;
  group.engine.max_queued_requests = config.max_queued_requests;
  group.engine.cache_bytes = config.cache_bytes;
  group.tokens = text.tokens();
  group.pod_index = options.pod_index;
  group.group_port = config.group_port;
  if (options.admin_token) group.secret = [token = *options.admin_token] { return token.oldest(); };
  return group;
}

common::HttpServerOptions server_options(const AgentOptions& agent, std::uint16_t port) {
  common::HttpServerOptions options;
  options.address = agent.bind;
  options.port = port;
  options.tls = agent.tls;
  options.error_response = [](int status, const std::string& message) { return error_response(status, message); };
  return options;
}

std::optional<std::filesystem::path> certificate_of(const AgentOptions& options) {
  if (!options.tls) return std::nullopt;
  return options.tls->certificate;
}

std::string served_name(const AgentOptions& options) {
  if (!options.config.served_model_name.empty()) return options.config.served_model_name;
  const auto folder = std::filesystem::absolute(options.model_directory).lexically_normal();
  return folder.has_filename() ? folder.filename() : folder.parent_path().filename();
}

}  // namespace

struct Agent::Parts {
  Parts(AgentOptions given, GroupRuntime runtime)
      : options(std::move(given)),
        name(served_name(options)),
        text(load_model_text(options.model_directory)),
        metrics(name, kVersion),
        admission(options.config.max_num_seqs + options.config.max_queued_requests),
        group(group_options(options, text), std::move(runtime), slot),
        admin_api({.group = group,
                   .slot = slot,
                   .admission = admission,
                   .metrics = metrics,
                   .control = control,
                   .pod_index = options.pod_index,
                   .token = options.admin_token,
                   .open_metrics = options.config.open_metrics,
                   .chat = [this](common::HttpRequest request) { return openai_api.chat(std::move(request)); },
                   .late_requests = options.late_requests,
                   .certificate = certificate_of(options)}),
        openai_api({.text = text,
                    .slot = slot,
                    .admission = admission,
                    .intake = intake,
                    .output = output,
                    .metrics = metrics,
                    .served_model_name = name,
                    .version = kVersion,
                    .api_key = options.api_key,
                    .cors_origins = options.config.cors_origins,
                    .group_trouble = [this] { return admin_api.group_trouble(); }}),
        admin_server(server_options(options, options.config.admin_port),
                     [this](common::HttpRequest request) { return admin_api.handle(std::move(request)); }),
        public_server(server_options(options, options.config.port),
                      [this](common::HttpRequest request) { return openai_api.handle(std::move(request)); }) {}

  const AgentOptions options;
  const std::string name;
  const ModelText text;
  AgentMetrics metrics;
  EngineSlot slot;
  Admission admission;
  Group group;
  AdminApi admin_api;
  OpenAiApi openai_api;
  // Destroyed before what their jobs use, and after the engine that posts to them has gone (stop()).
  common::WorkerPool output{kOutputThreads};
  common::WorkerPool intake{kIntakeThreads};
  common::WorkerPool control{1};
  common::HttpServer admin_server;
  common::HttpServer public_server;
};

Agent::Agent(AgentOptions options, GroupRuntime runtime)
    : parts_(std::make_unique<Parts>(std::move(options), std::move(runtime))) {
  common::log_info("agent listens", {{"model", parts_->name},
                                     {"address", parts_->options.bind},
                                     {"port", port()},
                                     {"admin_port", admin_port()},
                                     {"tls", parts_->options.tls.has_value()}});
  if (parts_->options.standalone) parts_->group.set_membership(*parts_->options.standalone);
}

Agent::~Agent() {
  stop(std::chrono::milliseconds{0});
}

std::uint16_t Agent::port() const {
  return parts_->public_server.port();
}
std::uint16_t Agent::admin_port() const {
  return parts_->admin_server.port();
}

void Agent::stop(std::chrono::milliseconds grace) {
  const auto deadline = std::chrono::steady_clock::now() + grace;
  const auto left = [deadline] {
    const auto rest = deadline - std::chrono::steady_clock::now();
    return std::max(std::chrono::milliseconds{0}, std::chrono::duration_cast<std::chrono::milliseconds>(rest));
  };
  parts_->admission.drain();
  if (!parts_->admission.wait_until_idle(grace)) {
    common::log_warn("requests are cut off", {{"in_flight", parts_->admission.in_flight()}});
  }
  parts_->public_server.stop(std::min(grace, kFlushGrace));
  parts_->group.shutdown(left());
  parts_->admin_server.stop(std::chrono::milliseconds{0});
  // The engine is gone, so every generation has had its last event; the pools finish what is queued as they are
  // destroyed.
}

}  // namespace millrace::agent
