#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace millrace::engine {

struct EngineOptions {
  std::filesystem::path model_directory;
  std::string backend = "auto";                        // "auto" or a name of the back-end list
  std::int32_t threads = 0;                            // per rank; 0: cores / local ranks
  std::int32_t expert_parallel = 1;                    // divides the number of ranks
  std::int32_t redundant_expert_slots = 0;             // per expert rank and layer, for replicas of busy experts
  std::int64_t max_model_len = 0;                      // prompt and answer; 0: as much as model and memory allow
  std::int32_t max_num_seqs = 32;                      // sequences in one step
  std::int64_t max_num_batched_tokens = 512;           // rows of one step: the prefill budget
  std::int32_t max_queued_requests = 256;              // beyond max_num_seqs; one more is refused
  std::int64_t cache_bytes = std::int64_t{512} << 20;  // per rank, for KV blocks and state slots together
  std::int32_t block_size = 16;                        // tokens in a KV block
  std::function<void(double)> on_load_progress;        // 0..1, from the loading thread; may be empty
  std::function<void(int)> on_expert_read;  // rank; before a move reads an expert, on the reading thread; may throw
};

}  // namespace millrace::engine
