// What a group is brought up with: the real engine, or a fake one in tests.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "common/agent_api.h"
#include "engine/comm/comm.h"
#include "engine/engine.h"

namespace millrace::agent {

using Comms = std::vector<std::unique_ptr<engine::Comm>>;

// The functions of engine.h, and connecting.
struct GroupRuntime {
  struct ConnectRequest {
    common::GroupMembership membership;
    std::int32_t pod_index = 0;
    std::uint16_t group_port = 0;
    std::string secret;
    int timeout_ms = 0;
    std::stop_token stop = {};
  };
  // The communicators of this pod's ranks, lowest rank first. Throws kDeadlineExceeded when peers are missing, and
  // soon after a stop.
  std::function<Comms(const ConnectRequest&)> connect;
  std::function<std::unique_ptr<engine::Engine>(const engine::EngineOptions&, const engine::ModelTokens&, Comms)> start;
  std::function<void(const engine::EngineOptions&, const engine::ModelTokens&, Comms,
                     const std::function<void()>& on_ready)>
      follow;
};

// Threads for a group of one pod, TCP for more.
GroupRuntime engine_runtime();

}  // namespace millrace::agent
