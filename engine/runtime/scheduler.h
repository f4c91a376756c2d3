// Decides which tokens of which sequences the next step computes: continuous batching with chunked prefill. Decodes
// come first, the rest of the token budget goes to prefills in order of arrival. When KV blocks run out the youngest
// running sequence is preempted: its blocks and state slot are freed and it is computed again later. Holds no tensors.
// Engine thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "engine/backend/step.h"
#include "engine/runtime/block_manager.h"
#include "engine/runtime/sequence.h"
#include "engine/runtime/state_pool.h"

namespace millrace::engine {

struct SchedulerLimits {
  std::int64_t max_num_seqs = 1;
  std::int64_t max_num_batched_tokens = 1;
  std::int64_t max_model_len = 1;
  std::vector<TokenId> stop_ids;  // the model's own
};

struct ScheduledSequence {
  Sequence* sequence = nullptr;
  std::int64_t num_new = 0;  // tokens computed in this step
  bool samples = false;      // the step computes the newest token, so a further one is drawn
};

struct Batch {
  std::vector<ScheduledSequence> sequences;
  StepInputs inputs;
  std::vector<SamplingRow> sampling;  // one per logit row; spans point into the sequences

  bool empty() const { return sequences.empty(); }
};

class Scheduler {
 public:
  // num_slots 0: the model has no Gated DeltaNet layers.
  Scheduler(SchedulerLimits limits, BlockManager blocks, StatePool slots);

  void add(std::unique_ptr<Sequence> sequence);
  // The sequence, out of all queues with its memory freed; null when the id is unknown (it has ended).
  std::unique_ptr<Sequence> remove(RequestId id);
  // All of them, for a failure or a stop.
  std::vector<std::unique_ptr<Sequence>> remove_all();

  using TimePoint = RequestTimes::Clock::time_point;

  // Empty when there is nothing to do. `now` stamps the sequences that are scheduled for the first time.
  Batch schedule(TimePoint now);
  // Records what the step computed and drew, sends the events, ends sequences that are done. `drawn` has one entry per
  // logit row. `now` stamps first tokens and ends.
  void complete(const Batch& batch, std::span<const SampledToken> drawn, TimePoint now);

  std::int64_t num_running() const { return static_cast<std::int64_t>(running_.size()); }
  std::int64_t num_waiting() const { return static_cast<std::int64_t>(waiting_.size()); }
  std::int64_t num_preemptions() const { return preemptions_; }
  const BlockManager& blocks() const { return blocks_; }
  const StatePool& slots() const { return slots_; }

 private:
  using SequenceList = std::vector<std::unique_ptr<Sequence>>;

  bool reserve_blocks(Sequence& sequence, std::int64_t tokens, Batch& batch);
  void schedule_running(bool decoding, std::int64_t& budget, Batch& batch);
  void admit_waiting(std::int64_t& budget, Batch& batch, TimePoint now);
  bool can_admit(const Sequence& sequence) const;
  void preempt_youngest(Batch& batch);
  void free_memory(Sequence& sequence);
  void build_inputs(Batch& batch) const;
  // The reason when `token` ends the sequence.
  std::optional<FinishReason> finish_reason(const Sequence& sequence, TokenId token) const;
  bool accept(Sequence& sequence, const SampledToken& drawn, TimePoint now);

  SchedulerLimits limits_;
  BlockManager blocks_;
  StatePool slots_;
  SequenceList running_;                           // by arrival: the last one is the youngest
  std::deque<std::unique_ptr<Sequence>> waiting_;  // preempted sequences at the front
  std::int64_t preemptions_ = 0;
};

}  // namespace millrace::engine
