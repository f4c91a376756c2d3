// Back to zones that have recovered, one group at a time: only when nothing else is under way, only where the groups
// are spread better afterwards, and only after a time of calm. Also how groups leave the spare zone. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "operator/plan/moves.h"

namespace millrace::controller {

struct FailbackPlan {
  std::optional<Move> move;  // wanted until the successor serves
  std::string full_zone;     // the zone that was chosen has no room
  std::chrono::milliseconds look_again{0};
};

FailbackPlan plan_failback(const MovesInput& input, TimePoint now);

}  // namespace millrace::controller
