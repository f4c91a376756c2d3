#include "engine/runtime/worker.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "common/error.h"

namespace millrace::engine {
namespace {

std::int32_t threads_per_rank(const EngineOptions& options, int local_ranks) {
  if (options.threads > 0) return options.threads;
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  return std::max(1, cores / std::max(1, local_ranks));
}

ModelOptions model_options(const EngineOptions& options, const Comm& comm) {
  ModelOptions model;
  model.layout = {comm.rank(), comm.size(), options.expert_parallel};
  model.max_tokens = options.max_num_batched_tokens;
  model.max_logit_rows = options.max_num_seqs;
  model.expert_slots = options.expert_slots;
  model.on_progress = options.on_load_progress;
  return model;
}

MemoryDemand memory_demand(const EngineOptions& options, const Model& model, const Backend& backend) {
  const ModelConfig& config = model.config();
  MemoryDemand demand;
  demand.budget_bytes = options.cache_bytes;
  demand.block_size = options.block_size;
  demand.max_num_seqs = options.max_num_seqs;
  demand.model_max_len = config.max_position;
  demand.requested_max_len = options.max_model_len;
  if (config.num_attention_layers() > 0) {
    demand.block_bytes = static_cast<std::int64_t>(backend.kv_block_bytes(model.kv_cache_shape(1, options.block_size)));
  }
  if (config.num_gdn_layers() > 0) {
    demand.slot_bytes = static_cast<std::int64_t>(backend.state_slot_bytes(model.state_cache_shape(1)));
  }
  return demand;
}

}  // namespace

Worker::Worker(const EngineOptions& options, std::int64_t drawable_vocab, int local_ranks, Comm& comm)
    : comm_(comm), drawable_vocab_(drawable_vocab) {
  BackendOptions backend_options;
  backend_options.threads = threads_per_rank(options, local_ranks);
  backend_ = create_backend(options.backend, backend_options);
  model_ = load_model(options.model_directory, model_options(options, comm), *backend_, comm);
  allocate_caches(options);
}

void Worker::allocate_caches(const EngineOptions& options) {
  memory_ = plan_memory(memory_demand(options, *model_, *backend_));
  kv_ = backend_->allocate_kv_cache(model_->kv_cache_shape(memory_.blocks, options.block_size));
  if (memory_.slots > 0) states_ = backend_->allocate_state_cache(model_->state_cache_shape(memory_.slots));
}

std::span<const SampledToken> Worker::run(const StepInputs& inputs, std::span<const SamplingRow> sampling) {
  backend_->begin_step(inputs, states_.get());
  const Tensor logits = model_->forward(inputs, *kv_, states_.get());
  if (!logits.empty()) backend_->sample(logits, drawable_vocab_, sampling);
  return backend_->finish_step();
}

void Worker::prepare_placement(const ExpertPlacement& placement) {
  using State = PlacementProgress::State;
  if (preparation_.valid()) preparation_.wait();
  progress_ = {State::kPreparing, {}};
  preparation_ = std::async(std::launch::async, [this, placement]() -> PlacementProgress {
    try {
      model_->prepare_placement(placement);
      return {State::kReady, {}};
    } catch (const common::Error& error) {
      return {State::kFailed, "rank " + std::to_string(comm_.rank()) + ": " + error.what()};
    }
  });
}

PlacementProgress Worker::placement_progress() {
  const bool done = preparation_.valid() && preparation_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  if (done) progress_ = preparation_.get();
  return progress_;
}

void Worker::commit_placement() {
  model_->commit_placement();
}

void Worker::follow() {
  while (true) {
    std::vector<std::byte> message;
    comm_.broadcast(message, 0);
    const Command command = decode_command(message);
    if (std::holds_alternative<Stop>(command)) return;
    if (const auto* step = std::get_if<RunStep>(&command)) {
      run(step->inputs, {});
    } else if (const auto* prepare = std::get_if<PreparePlacement>(&command)) {
      prepare_placement(prepare->placement);
    } else if (std::holds_alternative<PollPlacement>(command)) {
      comm_.send(encode(placement_progress()), 0);
    } else if (std::holds_alternative<CommitPlacement>(command)) {
      commit_placement();
    }
  }
}

}  // namespace millrace::engine
