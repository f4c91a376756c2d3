// A communicator that two own: the engine, which uses it, and the group, which may abort it while the engine is inside.
#pragma once

#include <memory>

#include "engine/comm/comm.h"

namespace millrace::agent {

// Forwards everything.
std::unique_ptr<engine::Comm> share_comm(std::shared_ptr<engine::Comm> comm);

}  // namespace millrace::agent
