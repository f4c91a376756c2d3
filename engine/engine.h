// The engine of one group as its leader sees it: submit requests, get tokens. The steps run on the engine's own thread;
// rank 0 and the other local ranks are threads of this process, further ranks follow over their Comm (worker.h).
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "engine/comm/comm.h"
#include "engine/expert_placement.h"
#include "engine/options.h"
#include "engine/request.h"

namespace millrace::engine {

// Fixed at start-up.
struct EngineInfo {
  std::string architecture;
  std::string backend;  // description, for logs
  std::int64_t max_model_len = 0;
  std::int64_t vocab = 0;  // ids that may be drawn
  std::int32_t world_size = 1;
  std::int32_t num_layers = 0;
  std::int32_t num_experts = 0;   // 0: dense
  std::int64_t expert_bytes = 0;  // of one expert in one layer, as the checkpoint has it
  std::int64_t weight_bytes = 0;  // of rank 0
  std::int64_t kv_blocks = 0;
  std::int64_t block_size = 0;
  std::int64_t state_slots = 0;  // 0: no Gated DeltaNet layers
};

// How many tokens steps had: a histogram.
struct StepSizes {
  static constexpr std::array<std::int64_t, 13> kBounds = {1,   8,    16,   32,   64,   128,  256,
                                                           512, 1024, 2048, 4096, 8192, 16384};
  std::array<std::int64_t, kBounds.size() + 1> counts{};  // steps of at most kBounds[i] and above the one before
  std::int64_t tokens = 0;                                // of all steps

  void add(std::int64_t step_tokens) {
    const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), step_tokens) - kBounds.begin();
    ++counts[static_cast<std::size_t>(bucket)];
    tokens += step_tokens;
  }
};

// A snapshot for /metrics and the operator. Counters only grow.
struct EngineStats {
  std::int64_t running = 0;
  std::int64_t waiting = 0;
  std::int64_t kv_blocks_used = 0;
  std::int64_t state_slots_used = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t generated_tokens = 0;
  std::int64_t preemptions = 0;
  std::int64_t steps = 0;
  std::int64_t last_step_tokens = 0;
  StepSizes step_sizes;
  double step_seconds = 0.0;  // total time inside steps
};

struct ExpertLoad {
  std::int64_t steps = 0;  // steps in the window
  std::int32_t num_layers = 0;
  std::int32_t num_experts = 0;
  std::vector<std::int64_t> tokens;  // (layers, experts) row-major, in the window
  std::int64_t total_steps = 0;      // since the start; counted with total_tokens
  std::vector<std::int64_t> total_tokens;
};

struct ExpertMoveOptions {
  std::int64_t max_bytes_per_second = 0;     // that one rank reads; 0: as fast as it can
  std::chrono::milliseconds limit{600'000};  // when a rank is not ready by then, the old placement stays
};

class Engine {
 public:
  virtual ~Engine() = default;  // aborts what runs, stops followers, joins

  virtual const EngineInfo& info() const = 0;

  // Any thread. Throws kInvalidArgument (a parameter out of range, the prompt empty or not shorter than max_model_len,
  // a token id outside the vocabulary), kUnavailable (the group has failed or is stopping). Returns no id when the
  // waiting queue is full: answer 429.
  struct Submitted {
    bool accepted = false;
    RequestId id{};
  };
  virtual Submitted submit(Request request, TokenSink sink) = 0;
  // Any thread; unknown ids are ignored. The last event is kAbort; memory is free after the next step.
  virtual void cancel(RequestId id) = 0;

  virtual EngineStats stats() const = 0;
  virtual ExpertLoad expert_load() const = 0;
  // Any thread. Starts a move: all ranks read what they lack in the background, then switch between the same two steps.
  // Throws kInvalidArgument, kUnavailable, kUnimplemented (dense model), kConflict (a move is going on). The future is
  // ready when the placement is in force; it throws what kept it from that, and then the old one stays in force.
  virtual std::future<void> move_experts(const ExpertPlacement& placement, const ExpertMoveOptions& options) = 0;
  virtual ExpertPlacement expert_placement() const = 0;

  // Empty while healthy; otherwise why the group failed. Any thread.
  virtual std::string failure() const = 0;
};

// The leader: comm.rank() is 0. `comms` holds the ranks of this process, rank 0 first; all other ranks must be running
// follow(). Loads the model on every local rank in parallel. `drawable_vocab`: ids at or beyond it are padding and
// never drawn. `eos`: the model's own stop ids.
struct ModelTokens {
  std::int64_t drawable_vocab = 0;
  std::vector<TokenId> stop_ids;
};
std::unique_ptr<Engine> start_engine(const EngineOptions& options, const ModelTokens& tokens,
                                     std::vector<std::unique_ptr<Comm>> comms);

// A process without rank 0: runs its ranks until the leader says stop (returns) or the group fails (throws
// kUnavailable). `on_ready` is called once when the weights are loaded and the caches allocated.
void follow(const EngineOptions& options, const ModelTokens& tokens, std::vector<std::unique_ptr<Comm>> comms,
            const std::function<void()>& on_ready);

}  // namespace millrace::engine
