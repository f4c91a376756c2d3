// The admin port: what the operator and Prometheus see (common/agent_api.h).
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "agent/admission.h"
#include "agent/engine_slot.h"
#include "agent/expert_move_record.h"
#include "agent/group.h"
#include "agent/metrics.h"
#include "common/access_token.h"
#include "common/http.h"
#include "common/worker_pool.h"

namespace millrace::agent {

// What the API works with. Outlives it.
struct AdminServices {
  Group& group;
  EngineSlot& slot;
  Admission& admission;
  AgentMetrics& metrics;
  common::WorkerPool& control;  // for calls that wait, such as a placement
  std::int32_t pod_index = 0;
  std::optional<common::AccessToken> token;                         // absent: no authentication
  bool open_metrics = false;                                        // /metrics needs no token
  std::function<common::HttpReply(common::HttpRequest)> chat = {};  // answers a chat completion
  LateRequests late_requests = {};                                  // after a drain
  std::optional<std::filesystem::path> certificate = {};            // that the ports show; absent: plain HTTP
};

class AdminApi {
 public:
  explicit AdminApi(AdminServices services) : services_(std::move(services)) {}

  // Any thread; does not block.
  common::HttpReply handle(common::HttpRequest request);

  common::AgentStatus status() const;
  // Why generation requests cannot be served now; empty when they can.
  std::string unready_reason() const;
  // The same, but a drain is none: what comes late is still answered.
  std::string group_trouble() const;

 private:
  struct Route;
  static const Route kRoutes[];

  common::HttpReply livez(const common::HttpRequest& request);
  common::HttpReply readyz(const common::HttpRequest& request);
  common::HttpReply metrics(const common::HttpRequest& request);
  common::HttpReply get_status(const common::HttpRequest& request);
  common::HttpReply put_group(const common::HttpRequest& request);
  common::HttpReply drain(const common::HttpRequest& request);
  common::HttpReply chat(const common::HttpRequest& request);
  common::HttpReply get_expert_load(const common::HttpRequest& request);
  common::HttpReply get_placement(const common::HttpRequest& request);
  common::HttpReply put_placement(const common::HttpRequest& request);
  common::HttpReply dispatch(const common::HttpRequest& request);

  const AdminServices services_;
  ExpertMoveRecord expert_move_;
};

}  // namespace millrace::agent
