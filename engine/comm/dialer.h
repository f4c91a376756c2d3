#pragma once

#include "engine/comm/handshake.h"
#include "engine/comm/socket.h"

namespace millrace::engine {

// Connects to a lower rank and proves to belong to its group; tries again until the deadline, since the peer may not be
// up yet or still be of the previous generation. A closed socket when the deadline passes or options.stop is
// triggered; `reason` then says why the last attempt failed.
Socket dial(const TcpCommOptions& options, int to, Channel channel, Clock::time_point deadline, std::string& reason);

}  // namespace millrace::engine
