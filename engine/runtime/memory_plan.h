// Divides one cache budget between KV blocks and state slots. Pure: the same inputs give the same plan on every rank.
#pragma once

#include <cstdint>
#include <string>

namespace millrace::engine {

struct MemoryDemand {
  std::int64_t budget_bytes = 0;
  std::int64_t block_bytes = 0;  // one KV block over all layers of the rank; 0: no attention layers
  std::int64_t slot_bytes = 0;   // one state slot over all layers of the rank; 0: no Gated DeltaNet layers
  std::int64_t block_size = 16;  // tokens
  std::int64_t max_num_seqs = 1;
  std::int64_t model_max_len = 0;      // what the model was made for
  std::int64_t requested_max_len = 0;  // 0: as much as fits
};

struct MemoryPlan {
  std::int64_t blocks = 0;
  std::int64_t slots = 0;  // 0 without Gated DeltaNet layers
  std::int64_t max_model_len = 0;
  std::int64_t max_num_seqs = 0;  // sequences that can be in a step
};

// One sequence of max_model_len always fits, so nothing that is admitted can starve. Sequences get state slots until
// half of the budget is used, the rest becomes blocks. Throws kInvalidArgument when requested_max_len exceeds the
// model, kResourceExhausted with the bytes needed when not even one sequence fits.
MemoryPlan plan_memory(const MemoryDemand& demand);

// "12 sequences; 4096 tokens of context; 812 KV blocks of 16 tokens; 12 state slots" for the log.
std::string describe(const MemoryPlan& plan, std::int64_t block_size);

}  // namespace millrace::engine
