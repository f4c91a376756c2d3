#include "engine/runtime/scheduler.h"

#include <algorithm>
#include <cassert>

#include "engine/runtime/end_event.h"

namespace millrace::engine {
namespace {

SamplingRow sampling_row(const Sequence& sequence) {
  const SamplingParams& params = sequence.params;
  SamplingRow row;
  row.temperature = params.temperature;
  row.top_k = params.top_k;
  row.top_p = params.top_p;
  row.min_p = params.min_p;
  row.presence_penalty = params.presence_penalty;
  row.frequency_penalty = params.frequency_penalty;
  row.repetition_penalty = params.repetition_penalty;
  row.seed = sequence.seed;
  row.step_index = static_cast<std::uint64_t>(sequence.num_output());
  const std::span<const TokenId> tokens = sequence.tokens;
  row.prompt = tokens.first(static_cast<std::size_t>(sequence.num_prompt));
  row.output = tokens.subspan(static_cast<std::size_t>(sequence.num_prompt));
  row.logit_bias = params.logit_bias;
  if (sequence.num_output() < params.min_tokens) row.banned = sequence.banned;
  row.num_logprobs = params.logprobs;
  return row;
}

}  // namespace

Scheduler::Scheduler(SchedulerLimits limits, BlockManager blocks, StatePool slots)
    : limits_(std::move(limits)), blocks_(std::move(blocks)), slots_(std::move(slots)) {}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  if (sequence->params.min_tokens > 0) {
    sequence->banned = limits_.stop_ids;
    const auto& own = sequence->params.stop_token_ids;
    sequence->banned.insert(sequence->banned.end(), own.begin(), own.end());
  }
  waiting_.push_back(std::move(sequence));
}

std::unique_ptr<Sequence> Scheduler::remove(RequestId id) {
  const auto has_id = [id](const std::unique_ptr<Sequence>& sequence) { return sequence->id == id; };
  const auto take = [&](auto& queue) -> std::unique_ptr<Sequence> {
    const auto found = std::find_if(queue.begin(), queue.end(), has_id);
    if (found == queue.end()) return nullptr;
    std::unique_ptr<Sequence> sequence = std::move(*found);
    queue.erase(found);
    free_memory(*sequence);
    return sequence;
  };
  if (auto sequence = take(running_)) return sequence;
  return take(waiting_);
}

std::vector<std::unique_ptr<Sequence>> Scheduler::remove_all() {
  SequenceList all = std::move(running_);
  running_.clear();
  for (auto& sequence : waiting_) all.push_back(std::move(sequence));
  waiting_.clear();
  for (auto& sequence : all) free_memory(*sequence);
  return all;
}

Batch Scheduler::schedule(TimePoint now) {
  Batch batch;
  std::int64_t budget = limits_.max_num_batched_tokens;
  const std::int64_t preemptions_before = preemptions_;
  schedule_running(/*decoding=*/true, budget, batch);
  schedule_running(/*decoding=*/false, budget, batch);
  // After a preemption memory is short: let the running sequences have it.
  if (preemptions_ == preemptions_before) admit_waiting(budget, batch, now);
  build_inputs(batch);
  return batch;
}

void Scheduler::schedule_running(bool decoding, std::int64_t& budget, Batch& batch) {
  for (std::size_t i = 0; i < running_.size() && budget > 0; ++i) {
    Sequence* sequence = running_[i].get();
    if (sequence->decoding() != decoding) continue;
    const std::int64_t num_new = std::min(budget, sequence->num_tokens() - sequence->num_computed);
    if (!reserve_blocks(*sequence, sequence->num_computed + num_new, batch)) break;  // it was itself preempted
    batch.sequences.push_back({sequence, num_new, sequence->num_computed + num_new == sequence->num_tokens()});
    budget -= num_new;
  }
}

// Preempts from the young end until the blocks are there. False when `sequence` itself had to go.
bool Scheduler::reserve_blocks(Sequence& sequence, std::int64_t tokens, Batch& batch) {
  while (!blocks_.grow(sequence.blocks, tokens)) {
    const bool itself = running_.back().get() == &sequence;
    preempt_youngest(batch);
    if (itself) return false;
  }
  return true;
}

void Scheduler::preempt_youngest(Batch& batch) {
  std::unique_ptr<Sequence> victim = std::move(running_.back());
  running_.pop_back();
  std::erase_if(batch.sequences, [&](const ScheduledSequence& entry) { return entry.sequence == victim.get(); });
  free_memory(*victim);
  victim->num_computed = 0;
  waiting_.push_front(std::move(victim));
  ++preemptions_;
}

void Scheduler::admit_waiting(std::int64_t& budget, Batch& batch, TimePoint now) {
  while (budget > 0 && !waiting_.empty() && can_admit(*waiting_.front())) {
    std::unique_ptr<Sequence> sequence = std::move(waiting_.front());
    waiting_.pop_front();
    if (!sequence->times.scheduled) sequence->times.scheduled = now;  // not again after a preemption
    if (slots_.num_slots() > 0) sequence->slot = slots_.allocate();
    const std::int64_t num_new = std::min(budget, sequence->num_tokens());
    const bool grown = blocks_.grow(sequence->blocks, num_new);
    assert(grown);  // can_admit has looked
    static_cast<void>(grown);
    batch.sequences.push_back({sequence.get(), num_new, num_new == sequence->num_tokens()});
    budget -= num_new;
    running_.push_back(std::move(sequence));
  }
}

// Room for the whole sequence as it is now, so that a long prompt does not preempt others chunk by chunk.
bool Scheduler::can_admit(const Sequence& sequence) const {
  if (num_running() >= limits_.max_num_seqs) return false;
  if (slots_.num_slots() > 0 && slots_.num_used() == slots_.num_slots()) return false;
  std::int64_t promised = 0;
  for (const auto& other : running_) {
    promised += blocks_.blocks_for(other->num_tokens()) - static_cast<std::int64_t>(other->blocks.size());
  }
  return blocks_.blocks_for(sequence.num_tokens()) + promised <= blocks_.num_free();
}

void Scheduler::free_memory(Sequence& sequence) {
  blocks_.release(sequence.blocks);
  if (sequence.slot) slots_.release(*sequence.slot);
  sequence.slot.reset();
}

void Scheduler::build_inputs(Batch& batch) const {
  StepInputs& inputs = batch.inputs;
  for (const ScheduledSequence& entry : batch.sequences) {
    inputs.max_blocks = std::max(inputs.max_blocks, static_cast<std::int32_t>(entry.sequence->blocks.size()));
  }
  inputs.row_begin.push_back(0);
  for (const ScheduledSequence& entry : batch.sequences) {
    const Sequence& sequence = *entry.sequence;
    for (std::int64_t i = 0; i < entry.num_new; ++i) {
      const std::int64_t position = sequence.num_computed + i;
      inputs.token_ids.push_back(sequence.tokens[static_cast<std::size_t>(position)]);
      inputs.positions.push_back(static_cast<std::int32_t>(position));
    }
    inputs.row_begin.push_back(static_cast<std::int32_t>(inputs.token_ids.size()));
    inputs.context.push_back(static_cast<std::int32_t>(sequence.num_computed));
    for (std::int32_t block = 0; block < inputs.max_blocks; ++block) {
      const auto index = static_cast<std::size_t>(block);
      inputs.blocks.push_back(index < sequence.blocks.size() ? static_cast<std::int32_t>(sequence.blocks[index]) : -1);
    }
    if (sequence.slot) inputs.slots.push_back(static_cast<std::int32_t>(*sequence.slot));
    if (entry.samples) {
      inputs.logit_rows.push_back(inputs.row_begin.back() - 1);
      batch.sampling.push_back(sampling_row(sequence));
    }
  }
}

void Scheduler::complete(const Batch& batch, std::span<const SampledToken> drawn, TimePoint now) {
  std::size_t row = 0;
  for (const ScheduledSequence& entry : batch.sequences) {
    Sequence& sequence = *entry.sequence;
    sequence.num_computed += entry.num_new;
    if (!entry.samples) continue;
    if (accept(sequence, drawn[row++], now)) continue;
    remove(sequence.id);
  }
  assert(row == drawn.size());
}

// Appends the drawn token and tells the caller. False when the sequence has ended.
bool Scheduler::accept(Sequence& sequence, const SampledToken& drawn, TimePoint now) {
  if (!drawn.finite) {
    sequence.sink(end_event(sequence, FinishReason::kError,
                            "the model produced logits that are not finite; the request was stopped", now));
    return false;
  }
  sequence.tokens.push_back(drawn.token);
  if (!sequence.times.first_token) sequence.times.first_token = now;
  TokenEvent event;
  event.id = sequence.id;
  event.token = drawn.token;
  if (sequence.params.logprobs >= 0) {
    event.logprobs.emplace();
    event.logprobs->logprob = drawn.logprob;
    for (const TokenLogprob& entry : drawn.top) event.logprobs->top.emplace_back(entry.token, entry.logprob);
  }
  event.finish = finish_reason(sequence, drawn.token);
  const bool goes_on = !event.finish;
  if (event.finish) {
    event.times = sequence.times;
    event.times->finished = now;
  }
  sequence.sink(std::move(event));
  return goes_on;
}

std::optional<FinishReason> Scheduler::finish_reason(const Sequence& sequence, TokenId token) const {
  const auto among = [token](const std::vector<TokenId>& ids) {
    return std::find(ids.begin(), ids.end(), token) != ids.end();
  };
  if (!sequence.params.ignore_eos && among(limits_.stop_ids)) return FinishReason::kStop;
  if (among(sequence.params.stop_token_ids)) return FinishReason::kStop;
  const bool full = sequence.num_tokens() >= limits_.max_model_len;
  if (full || sequence.num_output() >= sequence.params.max_tokens) return FinishReason::kLength;
  return std::nullopt;
}

}  // namespace millrace::engine
