// Identifiers shared by the parts of the engine.
#pragma once

#include <cstdint>

namespace millrace::engine {

using TokenId = std::int32_t;

enum class RequestId : std::uint64_t {};

// A block of the paged KV cache (all full-attention layers of one rank share the numbering).
enum class BlockId : std::int32_t {};

// A slot of the Gated DeltaNet state pool (conv and recurrent state of all GDN layers of one sequence).
enum class StateSlot : std::int32_t {};

}  // namespace millrace::engine
