// Runs the ranks of a group on threads of the test, over either transport.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/comm/comm.h"

namespace millrace::engine::test {

enum class Transport { kThreads, kTcp };

// Endpoints on 127.0.0.11, .12, ... with ports that were free a moment ago.
std::vector<TcpEndpoint> loopback_endpoints(int size);

// Options of `rank` with short limits and a secret.
TcpCommOptions tcp_options(const std::vector<TcpEndpoint>& endpoints, int rank);

// Calls `rank` on one thread per rank; returns when all have ended. The first exception of a rank is thrown again.
void on_ranks(Transport transport, int size, const std::function<void(Comm& comm)>& rank);

}  // namespace millrace::engine::test
