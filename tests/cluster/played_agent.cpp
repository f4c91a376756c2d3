#include "tests/cluster/played_agent.h"

#include <nlohmann/json.hpp>

#include "common/agent_config.h"

namespace millrace::testing {
namespace {

using common::AgentPhase;
using common::HttpRequest;
using common::HttpResponse;
using Json = nlohmann::json;

bool is_ready(const common::AgentStatus& status) {
  return status.phase == AgentPhase::kServing || status.phase == AgentPhase::kDraining;
}

}  // namespace

PlayedAgent::PlayedAgent(const std::string& ip, std::string token, std::int32_t pod_index,
                         std::function<void()> on_change)
    : token_(std::move(token)), on_change_(std::move(on_change)) {
  status_.pod_index = pod_index;
  status_.leader = pod_index == 0;
  common::HttpServerOptions options;
  options.address = ip;
  options.port = common::kDefaultAdminPort;
  options.threads = 1;
  server_ =
      std::make_unique<common::HttpServer>(options, [this](const HttpRequest& request) { return handle(request); });
}

common::AgentStatus PlayedAgent::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

bool PlayedAgent::ready() const {
  return is_ready(status());
}

std::int64_t PlayedAgent::asked() const {
  const std::lock_guard lock(mutex_);
  return asked_;
}

std::int64_t PlayedAgent::drained() const {
  const std::lock_guard lock(mutex_);
  return drained_;
}

void PlayedAgent::route(bool routed) {
  const std::lock_guard lock(mutex_);
  routed_ = routed;
  if (routed_ && status_.leader && status_.phase == AgentPhase::kServing) status_.in_flight = kRequests;
}

void PlayedAgent::hold(bool held) {
  const std::lock_guard lock(mutex_);
  held_ = held;
}

// One step of its life: loading ends, a request of those that are no longer replaced by new ones ends.
void PlayedAgent::advance() {
  if (status_.phase == AgentPhase::kLoading) {
    status_.load_progress += 0.5;
    if (status_.load_progress >= 1.0) status_.phase = AgentPhase::kServing;
  }
  const bool takes_more = routed_ && status_.phase == AgentPhase::kServing;
  if (!takes_more && !held_ && status_.in_flight > 0) --status_.in_flight;
}

HttpResponse PlayedAgent::answer_status() {
  bool changed = false;
  Json body;
  {
    const std::lock_guard lock(mutex_);
    const bool before = is_ready(status_);
    body = status_;
    ++asked_;
    advance();
    changed = before != is_ready(status_);
  }
  if (changed) on_change_();
  return {200, body.dump()};
}

common::HttpReply PlayedAgent::handle(const HttpRequest& request) {
  if (request.header("Authorization") != "Bearer " + token_) return HttpResponse{401, "{}"};
  if (request.method == "GET" && request.path == "/admin/v1/status") return answer_status();
  if (request.method == "PUT" && request.path == "/admin/v1/group") {
    const auto membership = Json::parse(request.body).get<common::GroupMembership>();
    const std::lock_guard lock(mutex_);
    if (membership.generation == status_.generation) return HttpResponse{200, "{}"};
    status_.generation = membership.generation;
    status_.phase = AgentPhase::kLoading;
    status_.load_progress = 0;
    return HttpResponse{200, "{}"};
  }
  if (request.method == "POST" && request.path == "/admin/v1/drain") {
    const std::lock_guard lock(mutex_);
    ++drained_;
    status_.phase = AgentPhase::kDraining;
    return HttpResponse{200, Json(status_).dump()};
  }
  return HttpResponse{404, "{}"};
}

}  // namespace millrace::testing
