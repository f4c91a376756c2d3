#pragma once

#include <string>
#include <utility>

#include "engine/request.h"

namespace millrace::engine {

// The last event of a request that ends without a token.
inline TokenEvent end_event(RequestId id, FinishReason reason, std::string message) {
  TokenEvent event;
  event.id = id;
  event.finish = reason;
  event.message = std::move(message);
  return event;
}

}  // namespace millrace::engine
