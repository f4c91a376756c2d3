#pragma once

#include <string>
#include <utility>

#include "engine/runtime/sequence.h"

namespace millrace::engine {

// The last event of a request that ends without a token.
inline TokenEvent end_event(const Sequence& sequence, FinishReason reason, std::string message,
                            RequestTimes::Clock::time_point now) {
  TokenEvent event;
  event.id = sequence.id;
  event.finish = reason;
  event.message = std::move(message);
  event.times = sequence.times;
  event.times->finished = now;
  return event;
}

}  // namespace millrace::engine
