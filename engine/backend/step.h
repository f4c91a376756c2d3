// What one step works on: a ragged batch of sequences, each with one or more new tokens (a prefill chunk or one decode
// token). Host data; Backend::begin_step uploads it once, the operations of the step refer to it.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "engine/types.h"

namespace millrace::engine {

struct StepInputs {
  std::vector<TokenId> token_ids;       // (tokens) in sequence order
  std::vector<std::int32_t> positions;  // (tokens) rotary position of each token: of its time axis when it has three
  // (tokens, 2) rotary positions of the height and width axes; empty when they equal `positions`, as for text.
  std::vector<std::int32_t> plane_positions;
  std::vector<std::int32_t> row_begin;   // (seqs + 1): sequence s owns rows [row_begin[s], row_begin[s + 1])
  std::vector<std::int32_t> context;     // (seqs): tokens already in the caches; 0 means: start from zero state
  std::vector<std::int32_t> blocks;      // (seqs, max_blocks): KV block of every block_size tokens; unused entries -1
  std::int32_t max_blocks = 0;           // columns of `blocks`
  std::vector<std::int32_t> slots;       // (seqs): Gated DeltaNet state slot; empty when the model has no such layers
  std::vector<std::int32_t> logit_rows;  // rows whose logits are wanted, ascending
  // State slots to copy (from, to) before the step's first operation: snapshot and restore.
  std::vector<std::pair<std::int32_t, std::int32_t>> slot_copies;

  std::int64_t num_tokens() const { return static_cast<std::int64_t>(token_ids.size()); }
  std::int64_t num_seqs() const { return static_cast<std::int64_t>(context.size()); }
};

// How to draw one token. Spans point into storage that lives until finish_step().
struct SamplingRow {
  float temperature = 1.0F;  // below 1e-5: greedy
  std::int32_t top_k = 0;    // 0 or -1: off
  float top_p = 1.0F;
  float min_p = 0.0F;
  float presence_penalty = 0.0F;
  float frequency_penalty = 0.0F;
  float repetition_penalty = 1.0F;
  std::uint64_t seed = 0;                // the draw is a pure function of (seed, step_index, logits)
  std::uint64_t step_index = 0;          // number of tokens this sequence has generated
  std::span<const TokenId> prompt = {};  // for the repetition penalty
  std::span<const TokenId> output = {};  // for all three penalties
  std::span<const std::pair<TokenId, float>> logit_bias = {};
  std::span<const TokenId> banned = {};  // set to minus infinity (stop ids while min_tokens is not reached)
  std::int32_t num_logprobs = -1;        // -1: none; 0: the drawn token's; n: and the n most likely
};

struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0.0F;  // natural log of the model's own distribution, before penalties and temperature
};

struct SampledToken {
  TokenId token = 0;
  float logprob = 0.0F;           // of `token`; 0 when not asked for
  std::vector<TokenLogprob> top;  // most likely first
  bool finite = true;             // false: the logits held NaN or infinity; the sequence must fail, not the process
};

}  // namespace millrace::engine
