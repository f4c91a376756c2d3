// One rank: its back end, its share of the model, its caches. Used by the rank's thread alone, but for the background
// preparation of an expert placement, which it owns.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <span>
#include <stop_token>
#include <string>

#include "engine/backend/backend.h"
#include "engine/comm/comm.h"
#include "engine/model/model.h"
#include "engine/options.h"
#include "engine/runtime/command.h"
#include "engine/runtime/memory_plan.h"

namespace millrace::engine {

class Worker {
 public:
  // Loads the weights and allocates the caches. `local_ranks`: ranks of this process, which share its cores. `comm`
  // outlives the worker.
  Worker(const EngineOptions& options, std::int64_t drawable_vocab, int local_ranks, Comm& comm);

  // Runs one step and, on rank 0, draws one token per sampling row (empty elsewhere). The span is valid until the next
  // step.
  std::span<const SampledToken> run(const StepInputs& inputs, std::span<const SamplingRow> sampling);

  // Starts preparing in the background. Never waits: while an earlier preparation does not end, this one fails.
  void prepare_placement(const PreparePlacement& command);
  PlacementProgress placement_progress();
  void drop_placement();
  void commit_placement();

  // Executes what the leader sends until Stop. Throws kUnavailable when the group breaks.
  void follow();

  int rank() const { return comm_.rank(); }
  int world_size() const { return comm_.size(); }
  Comm& comm() { return comm_; }
  Model& model() { return *model_; }
  const MemoryPlan& memory() const { return memory_; }
  std::string description() const { return backend_->description(); }

 private:
  void allocate_caches(const EngineOptions& options);

  Comm& comm_;
  std::int64_t drawable_vocab_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  MemoryPlan memory_;
  std::unique_ptr<KvCache> kv_;
  std::unique_ptr<StateCache> states_;
  PlacementProgress progress_{PlacementProgress::State::kFailed, "no placement is being prepared"};
  std::function<void(int)> on_expert_read_;
  // Last: waits for the thread before the model goes.
  struct Preparation {
    std::stop_source stop;
    std::future<PlacementProgress> result;
    ~Preparation() { stop.request_stop(); }
  };
  std::unique_ptr<Preparation> preparation_;
};

}  // namespace millrace::engine
