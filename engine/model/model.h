// One rank's share of a model: weights packed for its back end, and the forward pass. Holds no request state: the
// caches and the batch come from the runtime.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/comm/comm.h"
#include "engine/expert_placement.h"
#include "engine/model/config.h"
#include "engine/model/expert_pace.h"

namespace millrace::engine {

// Position of a rank: tensor parallel over all `size` ranks; the experts are divided over `expert_parallel` groups of
// size / expert_parallel ranks, and each expert's width is divided inside such a group. Rank r has expert rank
// r / (size / expert_parallel).
struct RankLayout {
  int rank = 0;
  int size = 1;
  int expert_parallel = 1;

  int expert_rank() const { return rank / (size / expert_parallel); }
  int expert_shard() const { return rank % (size / expert_parallel); }
  int expert_shards() const { return size / expert_parallel; }
};

// Empty when `config` can be divided so; otherwise what is wrong and which sizes would work.
std::string validate_layout(const ModelConfig& config, int size, int expert_parallel);

struct ModelOptions {
  RankLayout layout;
  std::int64_t max_tokens = 0;              // rows of one step
  std::int64_t max_logit_rows = 0;          // logit rows of one step
  std::int32_t redundant_expert_slots = 0;  // per expert rank and layer, beyond one for each of its experts
  // The device counts in 32 bits: after so many tokens the counts are moved into 64 bits.
  std::int64_t max_tokens_counted = std::int64_t{1} << 30;
  std::function<void(double)> on_progress;  // 0..1 while loading; may be empty
  std::function<void(int)> on_expert_read;  // rank; before an expert is read that moves; may be empty
};

class Model {
 public:
  virtual ~Model() = default;

  virtual const ModelConfig& config() const = 0;
  virtual std::size_t weight_bytes() const = 0;
  virtual KvCacheShape kv_cache_shape(std::int64_t blocks, std::int64_t block_size) const = 0;  // of this rank
  virtual StateCacheShape state_cache_shape(std::int64_t slots) const = 0;

  // Runs all layers for the step that was begun on the back end. Returns the logits of inputs.logit_rows, (rows, vocab)
  // F32 on rank 0; an empty tensor on other ranks and when no row is wanted. Collective: all ranks call it with equal
  // inputs. `states` is null without GDN.
  virtual Tensor forward(const StepInputs& inputs, KvCache& kv, StateCache* states) = 0;

  // ---- experts (MoE models; other models: empty placement, no counts)
  // ------------------------------------------------------
  virtual const ExpertPlacement& placement() const = 0;
  // Reads the experts that `next` puts on this rank and that are not there yet into spare memory. Any thread, while
  // steps run, no faster than `pace` allows. Throws kInvalidArgument when `next` does not fit, kCancelled when the pace
  // was told to stop. A second call replaces the first.
  virtual void prepare_placement(const ExpertPlacement& next, ExpertPace& pace) = 0;
  // Switches to the prepared placement. Between two steps; all ranks at the same step.
  virtual void commit_placement() = 0;
  // Of one whole expert of one layer, as it is stored.
  virtual std::int64_t expert_bytes() const = 0;
  // Tokens per (layer, logical expert) since the last call, (layers * experts) row-major. Between two steps.
  virtual std::vector<std::int64_t> take_expert_counts() = 0;

  // For tests: called with the residual stream after each layer (and with layer -1 for the embedding).
  virtual void set_layer_probe(std::function<void(std::int64_t layer, const Tensor& residual)> probe) = 0;
};

// Loads the checkpoint in `directory` (config.json, safetensors with or without index). Throws common::Error naming the
// tensor or file: kNotFound (absent), kInvalidArgument (extra, misshapen, unsupported type or quantisation), kDataLoss
// (truncated, lying header). backend and comm outlive the model.
std::unique_ptr<Model> load_model(const std::filesystem::path& directory, const ModelOptions& options, Backend& backend,
                                  Comm& comm);

// The same with seeded random weights and no files, for benchmarks and memory tests.
std::unique_ptr<Model> random_model(const ModelConfig& config, std::uint64_t seed, const ModelOptions& options,
                                    Backend& backend, Comm& comm);

}  // namespace millrace::engine
