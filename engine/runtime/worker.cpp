#include "engine/runtime/worker.h"

#include <sys/resource.h>
#include <unistd.h>

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
  model.redundant_expert_slots = options.redundant_expert_slots;
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

// Where threads have their own priority, the calling one gets a low one: experts can wait, steps cannot.
void yield_to_steps() {
  constexpr int kNice = 10;
  static_cast<void>(setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice));
}

}  // namespace

Worker::Worker(const EngineOptions& options, std::int64_t drawable_vocab, int local_ranks, Comm& comm)
    : comm_(comm), drawable_vocab_(drawable_vocab) {
  BackendOptions backend_options;
  backend_options.threads = threads_per_rank(options, local_ranks);
  backend_ = create_backend(options.backend, backend_options);
  model_ = load_model(options.model_directory, model_options(options, comm), *backend_, comm);
  allocate_caches(options);
  on_expert_read_ = options.on_expert_read;
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

void Worker::prepare_placement(const PreparePlacement& command) {
  using State = PlacementProgress::State;
  placement_progress();
  if (preparation_) {
    progress_ = {State::kFailed, "rank " + std::to_string(rank()) + " is still busy with an earlier placement"};
    return;
  }
  progress_ = {State::kPreparing, {}};
  preparation_ = std::make_unique<Preparation>();
  const auto stop = preparation_->stop.get_token();
  preparation_->result = std::async(std::launch::async, [this, command, stop]() -> PlacementProgress {
    yield_to_steps();
    try {
      ExpertPace pace(command.max_bytes_per_second, stop, [this] {
        if (on_expert_read_) on_expert_read_(rank());
      });
      model_->prepare_placement(command.placement, pace);
      return {State::kReady, {}};
    } catch (const std::exception& error) {
      return {State::kFailed, "rank " + std::to_string(rank()) + ": " + error.what()};
    }
  });
}

PlacementProgress Worker::placement_progress() {
  if (!preparation_) return progress_;
  if (preparation_->result.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return progress_;
  const PlacementProgress result = preparation_->result.get();
  preparation_.reset();
  if (progress_.state == PlacementProgress::State::kPreparing) progress_ = result;
  return progress_;
}

void Worker::drop_placement() {
  if (preparation_) preparation_->stop.request_stop();
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
      prepare_placement(*prepare);
    } else if (std::holds_alternative<PollPlacement>(command)) {
      comm_.send(encode(placement_progress()), 0);
    } else if (std::holds_alternative<CommitPlacement>(command)) {
      commit_placement();
    } else if (std::holds_alternative<DropPlacement>(command)) {
      drop_placement();
    }
  }
}

}  // namespace millrace::engine
