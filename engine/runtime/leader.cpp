#include "engine/runtime/leader.h"

#include <chrono>
#include <random>
#include <utility>

#include "common/error.h"
#include "engine/runtime/end_event.h"
#include "engine/runtime/sampling_params.h"

namespace millrace::engine {
namespace {

using common::Code;
using common::Error;

constexpr std::chrono::milliseconds kIdleKeepAlive{500};
constexpr std::chrono::milliseconds kPlacementPoll{10};  // a poll is a round trip to every rank
constexpr std::int64_t kStepsPerCount = 16;
constexpr std::size_t kCountBuckets = 64;

std::uint64_t random_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

EngineInfo describe(Worker& worker, const ModelTokens& tokens, const EngineOptions& options) {
  const ModelConfig& config = worker.model().config();
  EngineInfo info;
  info.architecture = config.architecture;
  info.backend = worker.description();
  info.max_model_len = worker.memory().max_model_len;
  info.vocab = tokens.drawable_vocab;
  info.world_size = worker.world_size();
  info.num_layers = static_cast<std::int32_t>(config.num_layers());
  info.num_experts = static_cast<std::int32_t>(config.moe.num_experts);
  info.expert_bytes = worker.model().expert_bytes();
  info.weight_bytes = static_cast<std::int64_t>(worker.model().weight_bytes());
  info.kv_blocks = worker.memory().blocks;
  info.block_size = options.block_size;
  info.state_slots = worker.memory().slots;
  return info;
}

SchedulerLimits limits_of(const EngineOptions& options, const MemoryPlan& memory, const ModelTokens& tokens) {
  return {memory.max_num_seqs, options.max_num_batched_tokens, memory.max_model_len, tokens.stop_ids};
}

}  // namespace

Leader::Leader(const EngineOptions& options, const ModelTokens& tokens, std::vector<std::unique_ptr<Comm>> comms)
    : options_(options), tokens_(tokens), ranks_(std::move(comms), tokens.drawable_vocab) {
  const auto prepare = [this](Worker& worker) {
    if (worker.rank() != 0) return;
    info_ = describe(worker, tokens_, options_);
    placement_ = worker.model().placement();
    load_.num_layers = info_.num_layers;
    load_.num_experts = info_.num_experts;
  };
  const auto serve_or_follow = [this](Worker& worker) {
    if (worker.rank() == 0) {
      serve(worker);
    } else {
      worker.follow();
    }
  };
  ranks_.start(options, {prepare, serve_or_follow});
  ranks_.wait_ready();
}

Leader::~Leader() {
  {
    const std::lock_guard lock(mutex_);
    inbox_.stop = true;
    closed_ = true;
  }
  work_.notify_one();
  ranks_.join();
}

Engine::Submitted Leader::submit(Request request, TokenSink sink) {
  validate(request.params, info_.vocab);
  validate_prompt(request.prompt, info_.vocab, info_.max_model_len);
  auto sequence = std::make_unique<Sequence>();
  sequence->id = static_cast<RequestId>(next_id_.fetch_add(1));
  sequence->seed = request.params.seed ? *request.params.seed : random_seed();
  sequence->params = std::move(request.params);
  sequence->tokens = std::move(request.prompt);
  sequence->num_prompt = sequence->num_tokens();
  sequence->sink = std::move(sink);
  sequence->times.queued = RequestTimes::Clock::now();
  const RequestId id = sequence->id;
  {
    const std::lock_guard lock(mutex_);
    refuse_when_closed();
    // What waits may also fill the places that are free: a burst reaches an idle engine before its first step.
    const auto arriving = static_cast<std::int64_t>(inbox_.requests.size());
    const std::int64_t places = options_.max_num_seqs + std::int64_t{options_.max_queued_requests};
    if (stats_.running + stats_.waiting + arriving >= places) return {false, id};
    inbox_.requests.push_back(std::move(sequence));
  }
  work_.notify_one();
  return {true, id};
}

// With mutex_ held.
void Leader::refuse_when_closed() const {
  if (!closed_) return;
  throw Error(Code::kUnavailable, "the engine has stopped: " + (failure_.empty() ? "it is shutting down" : failure_));
}

void Leader::cancel(RequestId id) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    inbox_.cancels.push_back(id);
  }
  work_.notify_one();
}

EngineStats Leader::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = stats_;
  stats.waiting += static_cast<std::int64_t>(inbox_.requests.size());
  return stats;
}

ExpertLoad Leader::expert_load() const {
  const std::lock_guard lock(mutex_);
  return load_;
}

ExpertPlacement Leader::expert_placement() const {
  const std::lock_guard lock(mutex_);
  return placement_;
}

std::string Leader::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::future<void> Leader::move_experts(const ExpertPlacement& placement, const ExpertMoveOptions& options) {
  if (info_.num_experts == 0) throw Error(Code::kUnimplemented, "the model is dense: it has no experts to place");
  const ExpertPlacement current = expert_placement();
  const std::string fault =
      validate_placement(placement, info_.num_layers, info_.num_experts, current.ep_size, current.slots_per_rank);
  if (!fault.empty()) throw Error(Code::kInvalidArgument, fault);
  auto job = std::make_unique<PlacementJob>();
  job->placement = placement;
  job->options = options;
  auto done = job->done.get_future();
  {
    const std::lock_guard lock(mutex_);
    refuse_when_closed();
    if (moving_) throw Error(Code::kConflict, "experts are being moved already; wait for the end of that move");
    moving_ = true;
    inbox_.placement = std::move(job);
  }
  work_.notify_one();
  return done;
}

// ---- rank 0's thread
// -------------------------------------------------------------------------------------------------

void Leader::serve(Worker& worker) {
  Scheduler scheduler(limits_of(options_, worker.memory(), tokens_),
                      BlockManager(worker.memory().blocks, options_.block_size), StatePool(worker.memory().slots));
  if (info_.num_experts > 0) window_.emplace(info_.num_layers, info_.num_experts, kCountBuckets);
  try {
    loop(worker, scheduler);
    command(worker, Stop{});
    close(scheduler, FinishReason::kAbort, "the engine is shutting down");
  } catch (const std::exception& error) {
    close(scheduler, FinishReason::kError, error.what());
    throw;
  }
}

void Leader::loop(Worker& worker, Scheduler& scheduler) {
  while (take_inbox(scheduler)) {
    advance_placement(worker);
    const bool worked = step(worker, scheduler);
    publish(scheduler);
    if (worked) continue;
    collect_expert_counts(worker);
    wait_for_work();
    if (worker.world_size() > 1) command(worker, KeepAlive{});
  }
}

bool Leader::take_inbox(Scheduler& scheduler) {
  Inbox inbox;
  {
    const std::lock_guard lock(mutex_);
    std::swap(inbox, inbox_);
    stats_.waiting += static_cast<std::int64_t>(inbox.requests.size());
  }
  for (auto& request : inbox.requests) scheduler.add(std::move(request));
  for (const RequestId id : inbox.cancels) {
    const auto sequence = scheduler.remove(id);
    if (sequence) sequence->sink(end_event(*sequence, FinishReason::kAbort, "cancelled", RequestTimes::Clock::now()));
  }
  if (inbox.placement) job_ = std::move(inbox.placement);
  return !inbox.stop;
}

void Leader::wait_for_work() {
  std::unique_lock lock(mutex_);
  work_.wait_for(lock, job_ ? kPlacementPoll : kIdleKeepAlive, [this] { return !inbox_.empty(); });
}

// False when there was nothing to do.
bool Leader::step(Worker& worker, Scheduler& scheduler) {
  const auto begin = RequestTimes::Clock::now();
  Batch batch = scheduler.schedule(begin);
  if (batch.empty()) return false;
  RunStep run{std::move(batch.inputs)};
  command(worker, run);
  const auto drawn = worker.run(run.inputs, batch.sampling);
  const auto end = RequestTimes::Clock::now();
  count_step(batch, run.inputs, std::chrono::duration<double>(end - begin).count());
  scheduler.complete(batch, drawn, end);
  if (++uncounted_steps_ >= kStepsPerCount) collect_expert_counts(worker);
  return true;
}

void Leader::count_step(const Batch& batch, const StepInputs& inputs, double seconds) {
  const std::lock_guard lock(mutex_);
  ++stats_.steps;
  stats_.step_seconds += seconds;
  stats_.last_step_tokens = inputs.num_tokens();
  stats_.step_sizes.add(inputs.num_tokens());
  stats_.generated_tokens += static_cast<std::int64_t>(inputs.logit_rows.size());
  for (const ScheduledSequence& entry : batch.sequences) {
    if (entry.sequence->num_output() == 0) stats_.prompt_tokens += entry.num_new;
  }
}

void Leader::command(Worker& worker, const Command& command) {
  if (worker.world_size() == 1) return;
  std::vector<std::byte> message = encode(command);
  worker.comm().broadcast(message, 0);
}

void Leader::advance_placement(Worker& worker) {
  if (!job_) return;
  const auto now = std::chrono::steady_clock::now();
  if (job_->begun == std::chrono::steady_clock::time_point{}) {
    begin_placement(worker);
  } else if (now - job_->polled >= kPlacementPoll) {
    job_->polled = now;
    poll_placement(worker);
  }
}

void Leader::begin_placement(Worker& worker) {
  const PreparePlacement prepare{job_->placement, job_->options.max_bytes_per_second};
  job_->begun = job_->polled = std::chrono::steady_clock::now();
  command(worker, prepare);
  worker.prepare_placement(prepare);
}

// Until every rank is ready nothing has changed for the steps; whatever fails before leaves the old placement.
void Leader::poll_placement(Worker& worker) {
  using State = PlacementProgress::State;
  command(worker, PollPlacement{});
  std::vector<PlacementProgress> ranks = {worker.placement_progress()};
  for (int rank = 1; rank < worker.world_size(); ++rank) ranks.push_back(decode_progress(worker.comm().recv(rank)));

  std::string waiting_for, fault;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    if (ranks[rank].state == State::kPreparing) waiting_for += (waiting_for.empty() ? "" : ", ") + std::to_string(rank);
    if (ranks[rank].state == State::kFailed && fault.empty()) fault = ranks[rank].message;
  }
  if (!fault.empty()) {
    command(worker, DropPlacement{});
    worker.drop_placement();
    return end_placement(std::make_exception_ptr(
        Error(Code::kInternal, "the placement could not be prepared and the old one stays: " + fault)));
  }
  if (waiting_for.empty()) {
    command(worker, CommitPlacement{});
    worker.commit_placement();
    return end_placement(nullptr);
  }
  if (job_->polled - job_->begun < job_->options.limit) return;
  command(worker, DropPlacement{});
  worker.drop_placement();
  end_placement(std::make_exception_ptr(Error(
      Code::kDeadlineExceeded, "the placement was not ready within " + std::to_string(job_->options.limit.count()) +
                                   " ms and the old one stays; waited for rank " + waiting_for)));
}

void Leader::end_placement(std::exception_ptr fault) {
  {
    const std::lock_guard lock(mutex_);
    moving_ = false;
    if (!fault) placement_ = job_->placement;
  }
  if (fault) {
    job_->done.set_exception(fault);
  } else {
    job_->done.set_value();
  }
  job_.reset();
}

void Leader::collect_expert_counts(Worker& worker) {
  if (!window_ || uncounted_steps_ == 0) return;
  window_->add(std::exchange(uncounted_steps_, 0), worker.model().take_expert_counts());
  const std::lock_guard lock(mutex_);
  load_ = window_->load();
}

void Leader::publish(const Scheduler& scheduler) {
  const std::lock_guard lock(mutex_);
  stats_.running = scheduler.num_running();
  stats_.waiting = scheduler.num_waiting();
  stats_.kv_blocks_used = scheduler.blocks().num_used();
  stats_.state_slots_used = scheduler.slots().num_used();
  stats_.preemptions = scheduler.num_preemptions();
}

// Takes nothing more and ends everything that was accepted: nobody waits for an answer that will not come.
void Leader::close(Scheduler& scheduler, FinishReason reason, const std::string& message) {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    if (reason == FinishReason::kError) failure_ = message;
  }
  take_inbox(scheduler);
  const auto now = RequestTimes::Clock::now();
  for (const auto& sequence : scheduler.remove_all()) sequence->sink(end_event(*sequence, reason, message, now));
  if (job_) end_placement(std::make_exception_ptr(Error(Code::kUnavailable, message)));
  publish(scheduler);
}

std::unique_ptr<Engine> start_engine(const EngineOptions& options, const ModelTokens& tokens,
                                     std::vector<std::unique_ptr<Comm>> comms) {
  return std::make_unique<Leader>(options, tokens, std::move(comms));
}

void follow(const EngineOptions& options, const ModelTokens& tokens, std::vector<std::unique_ptr<Comm>> comms,
            const std::function<void()>& on_ready) {
  RankThreads ranks(std::move(comms), tokens.drawable_vocab);
  ranks.start(options, {nullptr, [](Worker& worker) { worker.follow(); }});
  ranks.wait_ready();
  on_ready();
  ranks.join();
  if (const auto failure = ranks.failure()) std::rethrow_exception(failure);
}

}  // namespace millrace::engine
