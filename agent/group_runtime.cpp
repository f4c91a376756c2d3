#include "agent/group_runtime.h"

#include <exception>
#include <future>

#include "agent/group.h"

namespace millrace::agent {
namespace {

// The ranks of this pod connect to each other too, so all must try at the same time.
Comms connect_over_tcp(const GroupRuntime::ConnectRequest& request) {
  engine::TcpCommOptions options;
  options.endpoints = rank_endpoints(request.membership, request.group_port);
  options.generation = static_cast<std::uint64_t>(request.membership.generation);
  options.secret = request.secret;
  options.connect_timeout_ms = request.timeout_ms;
  options.stop = request.stop;
  std::vector<std::future<std::unique_ptr<engine::Comm>>> pending;
  for (std::int32_t local = 0; local < request.membership.ranks_per_pod; ++local) {
    options.rank = request.pod_index * request.membership.ranks_per_pod + local;
    pending.push_back(std::async(std::launch::async, [options] { return engine::connect_tcp_comm(options); }));
  }
  Comms comms;
  for (auto& rank : pending) comms.push_back(rank.get());
  return comms;
}

Comms connect(const GroupRuntime::ConnectRequest& request) {
  if (request.membership.peers.size() > 1) return connect_over_tcp(request);
  if (request.membership.ranks_per_pod > 1) return engine::make_thread_comms(request.membership.ranks_per_pod);
  Comms comms;
  comms.push_back(engine::make_single_comm());
  return comms;
}

}  // namespace

GroupRuntime engine_runtime() {
  return {.connect = connect, .start = engine::start_engine, .follow = engine::follow};
}

}  // namespace millrace::agent
