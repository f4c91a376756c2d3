// The leader's engine: an inbox that any thread may write, and the loop that schedules, broadcasts, runs and completes
// steps on rank 0's thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/runtime/expert_load_window.h"
#include "engine/runtime/rank_threads.h"
#include "engine/runtime/scheduler.h"
#include "engine/runtime/worker.h"

namespace millrace::engine {

class Leader : public Engine {
 public:
  // Returns when all ranks are loaded; throws what stopped them.
  Leader(const EngineOptions& options, const ModelTokens& tokens, std::vector<std::unique_ptr<Comm>> comms);
  ~Leader() override;

  const EngineInfo& info() const override { return info_; }
  Submitted submit(Request request, TokenSink sink) override;
  void cancel(RequestId id) override;
  EngineStats stats() const override;
  ExpertLoad expert_load() const override;
  std::future<void> move_experts(const ExpertPlacement& placement, const ExpertMoveOptions& options) override;
  ExpertPlacement expert_placement() const override;
  std::string failure() const override;

 private:
  struct PlacementJob {
    ExpertPlacement placement;
    ExpertMoveOptions options;
    std::promise<void> done;
    std::chrono::steady_clock::time_point begun;
    std::chrono::steady_clock::time_point polled;
  };
  // What other threads have asked for since the last look.
  struct Inbox {
    std::vector<std::unique_ptr<Sequence>> requests;
    std::vector<RequestId> cancels;
    std::unique_ptr<PlacementJob> placement;
    bool stop = false;

    bool empty() const { return requests.empty() && cancels.empty() && !placement && !stop; }
  };

  void serve(Worker& worker);
  void loop(Worker& worker, Scheduler& scheduler);
  bool take_inbox(Scheduler& scheduler);  // false when it is time to stop
  void wait_for_work();
  bool step(Worker& worker, Scheduler& scheduler);
  void count_step(const Batch& batch, const StepInputs& inputs, double seconds);
  void command(Worker& worker, const Command& command);
  void advance_placement(Worker& worker);
  void begin_placement(Worker& worker);
  void poll_placement(Worker& worker);
  void end_placement(std::exception_ptr fault);
  void collect_expert_counts(Worker& worker);
  void publish(const Scheduler& scheduler);
  void close(Scheduler& scheduler, FinishReason reason, const std::string& message);
  void refuse_when_closed() const;

  EngineOptions options_;
  ModelTokens tokens_;
  EngineInfo info_;
  std::atomic<std::uint64_t> next_id_{1};

  mutable std::mutex mutex_;  // guards everything down to the blank line
  std::condition_variable work_;
  Inbox inbox_;
  std::string failure_;  // why the group broke; empty while it is sound
  bool closed_ = false;  // no further requests: stopping or failed
  EngineStats stats_;
  ExpertLoad load_;
  ExpertPlacement placement_;
  bool moving_ = false;  // a placement was accepted and is neither in force nor given up

  // Rank 0's thread only.
  std::unique_ptr<PlacementJob> job_;  // being prepared
  std::optional<ExpertLoadWindow> window_;
  std::int64_t uncounted_steps_ = 0;

  RankThreads ranks_;  // last: its threads use the members above
};

}  // namespace millrace::engine
