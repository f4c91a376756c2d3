// An agent without an engine: the admin API of common/agent_api.h on an address of its own, requests that are only
// counted. Nothing in it happens by time: it moves on when the operator asks for its status, so that a test waits for
// what the operator has seen.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "common/agent_api.h"
#include "common/http_server.h"

namespace millrace::testing {

class PlayedAgent {
 public:
  static constexpr std::int64_t kRequests = 2;  // that run while the agent serves and is routed

  // Listens on ip:8001 when it returns. `on_change`: readiness may have changed; called on the server's thread.
  PlayedAgent(const std::string& ip, std::string token, std::int32_t pod_index, std::function<void()> on_change);

  common::AgentStatus status() const;
  bool ready() const;            // what /readyz would say
  std::int64_t asked() const;    // how often the operator has asked for its status
  std::int64_t drained() const;  // how often it was told to drain

  // Whether new requests reach it, as the endpoints of the Service would decide.
  void route(bool routed);
  // While held, no request ends.
  void hold(bool held);

 private:
  common::HttpReply handle(const common::HttpRequest& request);
  common::HttpResponse answer_status();
  void advance();

  const std::string token_;
  const std::function<void()> on_change_;
  mutable std::mutex mutex_;
  common::AgentStatus status_;
  bool routed_ = false;
  bool held_ = false;
  std::int64_t asked_ = 0;
  std::int64_t drained_ = 0;
  std::unique_ptr<common::HttpServer> server_;  // last: its threads use the others
};

}  // namespace millrace::testing
