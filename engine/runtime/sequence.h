// One request on its way through the engine. Engine thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/request.h"
#include "engine/types.h"

namespace millrace::engine {

struct Sequence {
  RequestId id{};
  SamplingParams params;
  std::uint64_t seed = 0;
  std::vector<TokenId> tokens;  // prompt, then output
  std::int64_t num_prompt = 0;
  std::int64_t num_computed = 0;  // tokens whose keys, values and state are in the caches
  std::vector<BlockId> blocks;
  std::optional<StateSlot> slot;
  std::vector<TokenId> banned;  // stop ids, used while fewer than min_tokens are generated
  TokenSink sink;
  RequestTimes times;  // but for `finished`

  std::int64_t num_tokens() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t num_output() const { return num_tokens() - num_prompt; }
  // Decoding: everything but the newest token is computed. Otherwise prefill, also after a preemption.
  bool decoding() const { return num_computed + 1 == num_tokens() && num_output() > 0; }
};

}  // namespace millrace::engine
