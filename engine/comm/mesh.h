// Connects every rank with every other one: a rank dials the lower ranks and accepts the higher ones.
#pragma once

#include <vector>

#include "engine/comm/handshake.h"
#include "engine/comm/socket.h"

namespace millrace::engine {

struct Mesh {
  // [channel][rank]; closed for this rank itself.
  std::array<std::vector<Socket>, kChannels> sockets;

  const Socket& data(int rank) const {
    return sockets[static_cast<std::size_t>(Channel::kData)][static_cast<std::size_t>(rank)];
  }
  const Socket& pulse(int rank) const {
    return sockets[static_cast<std::size_t>(Channel::kPulse)][static_cast<std::size_t>(rank)];
  }
};

// Returns when all ranks are connected with all others. Throws kDeadlineExceeded naming the missing ranks and, where
// known, why; kCancelled when stopped; kUnavailable when this rank's own endpoint cannot be listened on;
// kInvalidArgument for a rank outside of the endpoints.
Mesh connect_mesh(const TcpCommOptions& options);

}  // namespace millrace::engine
