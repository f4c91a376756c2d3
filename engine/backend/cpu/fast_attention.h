// Full attention over the paged cache, in three parallel passes.
//
// 1. Per token: norm and rotate keys into the cache, copy values, norm, rotate and scale queries.
// 2. Per (sequence, KV head, tile of tokens, range of keys): the tile's queries of all heads that share the KV head are
// the rows of
//    one matrix; keys come in tiles of 64, gathered from their blocks and transposed; a running maximum and sum rescale
//    what has been added so far (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018). Sequences
//    with few new tokens are split over ranges of keys of a fixed length, so that long contexts use all threads and a
//    result does not depend on the batch.
// 3. Per token: join the ranges, divide, gate.
#pragma once

#include "engine/backend/cpu/fast_gemm.h"
#include "engine/backend/cpu/fast_math.h"
#include "engine/backend/cpu/fast_rows.h"

namespace millrace::engine::cpu::fast {

constexpr std::int64_t kKeyTile = 64;
constexpr std::int64_t kQueryRows = 96;   // of a tile: tokens times heads of a KV head
constexpr std::int64_t kSplitTokens = 8;  // sequences with at most so many new tokens are split over keys
constexpr std::int64_t kSplitKeys = 512;

struct AttentionJob {
  const StepInputs& step;
  const AttentionShape& shape;
  const Tensor& qkv;
  const float* q_norm;
  const float* k_norm;
  const float* inv_freq;
  PagedKv& cache;
  std::int64_t layer;
  const Tensor& out;
  float* queries;  // (tokens, q_heads, head_dim)

  std::int64_t group() const { return shape.q_heads / shape.kv_heads; }
  std::int64_t q_stride() const { return shape.output_gate ? 2 * shape.head_dim : shape.head_dim; }
  const float* key_in(std::int64_t row, std::int64_t head) const {
    return float_row(qkv, row) + shape.q_heads * q_stride() + head * shape.head_dim;
  }
  const float* value_in(std::int64_t row, std::int64_t head) const { return key_in(row, shape.kv_heads + head); }
  std::int64_t block(std::int64_t seq, std::int64_t position) const {
    return step.blocks.data()[seq * step.max_blocks + position / cache.shape().block_size];
  }
};

// What is known of a sequence's partial results: `splits` ranges of keys, each with (tokens, q_heads) sums.
struct SeqPlan {
  std::int64_t begin = 0;  // rows
  std::int64_t tokens = 0;
  std::int64_t context = 0;
  std::int64_t tile = 1;  // tokens of a tile
  std::int64_t tiles = 0;
  std::int64_t splits = 1;
  std::int64_t first_task = 0;
  std::int64_t first_partial = 0;  // in (token, head) units

  std::int64_t keys_per_split() const { return splits == 1 ? context + tokens : kSplitKeys; }
};

// For each (split, token, head): the values' weighted sum, the largest score and the sum of weights.
struct Partials {
  float* sums = nullptr;  // head_dim each
  float* largest = nullptr;
  float* totals = nullptr;
};

struct AttentionPlan {
  SeqPlan* seqs = nullptr;
  std::int64_t count = 0;
  std::int64_t tasks = 0;
  Partials partials;
};

inline AttentionPlan plan_attention(Context& context, const AttentionJob& job) {
  const StepInputs& step = job.step;
  AttentionPlan plan;
  plan.count = step.num_seqs();
  plan.seqs = context.arena->take<SeqPlan>(static_cast<std::size_t>(plan.count));
  std::int64_t partials = 0;
  for (std::int64_t s = 0; s < plan.count; ++s) {
    SeqPlan seq;
    seq.begin = step.row_begin.data()[s];
    seq.tokens = step.row_begin.data()[s + 1] - seq.begin;
    seq.context = step.context.data()[s];
    seq.tile = job.group() >= kQueryRows ? 1 : kQueryRows / job.group();
    seq.tiles = (seq.tokens + seq.tile - 1) / seq.tile;
    if (seq.tokens <= kSplitTokens) seq.splits = (seq.context + seq.tokens + kSplitKeys - 1) / kSplitKeys;
    seq.first_task = plan.tasks;
    seq.first_partial = partials;
    plan.tasks += seq.tiles * seq.splits * job.shape.kv_heads;
    partials += seq.splits * seq.tokens * job.shape.q_heads;
    plan.seqs[s] = seq;
  }
  plan.partials.sums = context.arena->take<float>(static_cast<std::size_t>(partials * job.shape.head_dim));
  plan.partials.largest = context.arena->take<float>(static_cast<std::size_t>(partials));
  plan.partials.totals = context.arena->take<float>(static_cast<std::size_t>(partials));
  return plan;
}

// ---- pass 1
// ------------------------------------------------------------------------------------------------------------

struct Rotation {
  std::int64_t half = 0;
  float* cosines = nullptr;  // (half)
  float* sines = nullptr;
};

inline void rotate(const Rotation& rotation, float* head) {
  float* upper = head + rotation.half;
  for (std::int64_t j = 0; j < rotation.half; ++j) {
    const float x = head[j];
    const float y = upper[j];
    head[j] = x * rotation.cosines[j] - y * rotation.sines[j];
    upper[j] = y * rotation.cosines[j] + x * rotation.sines[j];
  }
}

template <class S>
void prepare_head(const AttentionJob& job, const Rotation& rotation, const float* norm, const float* from, float* to) {
  const std::int64_t dim = job.shape.head_dim;
  scale_row<S>(from, norm == nullptr ? 1.0F : rms_scale<S>(from, dim, job.shape.norm_eps), norm, dim, to);
  rotate(rotation, to);
}

template <class S>
void prepare_token(const AttentionJob& job, std::int64_t seq, std::int64_t row, std::int64_t position,
                   const Rotation& rotation) {
  const std::int64_t dim = job.shape.head_dim;
  for (std::int64_t j = 0; j < rotation.half; ++j) {
    const float angle = static_cast<float>(rope_position(job.step, job.shape.mrope, row, j)) * job.inv_freq[j];
    rotation.cosines[j] = job.shape.rope_scale * __builtin_cosf(angle);
    rotation.sines[j] = job.shape.rope_scale * __builtin_sinf(angle);
  }
  const std::int64_t offset = position % job.cache.shape().block_size * dim;
  for (std::int64_t h = 0; h < job.shape.kv_heads; ++h) {
    float* key = job.cache.keys(job.layer, job.block(seq, position), h) + offset;
    float* value = job.cache.values(job.layer, job.block(seq, position), h) + offset;
    prepare_head<S>(job, rotation, job.k_norm, job.key_in(row, h), key);
    __builtin_memcpy(value, job.value_in(row, h), sizeof(float) * dim);
  }
  const float scale = 1.0F / __builtin_sqrtf(static_cast<float>(dim));
  for (std::int64_t h = 0; h < job.shape.q_heads; ++h) {
    float* query = job.queries + (row * job.shape.q_heads + h) * dim;
    prepare_head<S>(job, rotation, job.q_norm, float_row(job.qkv, row) + h * job.q_stride(), query);
    scale_row<S>(query, scale, nullptr, dim, query);
  }
}

// ---- pass 2
// ------------------------------------------------------------------------------------------------------------

struct AttentionScratch {
  float* queries;  // (kQueryRows or group, head_dim)
  float* keys;     // (head_dim, kKeyTile)
  float* values;   // (kKeyTile, head_dim)
  float* scores;   // (rows, kKeyTile)
  float* sums;     // (rows, head_dim)
  float* largest;  // (rows)
  float* totals;   // (rows)

  static std::int64_t max_rows(std::int64_t group) { return group > kQueryRows ? group : kQueryRows; }
  static std::int64_t floats(std::int64_t group, std::int64_t dim) {
    const std::int64_t rows = max_rows(group);
    return rows * (2 * dim + kKeyTile + 2) + 2 * dim * kKeyTile;
  }
  AttentionScratch(std::int64_t group, std::int64_t dim, float* memory)
      : queries(memory),
        keys(queries + max_rows(group) * dim),
        values(keys + dim * kKeyTile),
        scores(values + dim * kKeyTile),
        sums(scores + max_rows(group) * kKeyTile),
        largest(sums + max_rows(group) * dim),
        totals(largest + max_rows(group)) {}
};

// Rows are (token, head of the group), token-major.
struct QueryTile {
  std::int64_t seq = 0;
  std::int64_t kv_head = 0;
  std::int64_t first_token = 0;  // counted in the sequence's new tokens
  std::int64_t tokens = 0;
  std::int64_t first_position = 0;
  std::int64_t group = 1;
  std::int64_t rows() const { return tokens * group; }
  std::int64_t position(std::int64_t row) const { return first_position + row / group; }
};

template <class S>
void gather_keys(const AttentionJob& job, const QueryTile& tile, std::int64_t begin, std::int64_t count,
                 AttentionScratch& scratch) {
  const std::int64_t dim = job.shape.head_dim;
  const std::int64_t block_size = job.cache.shape().block_size;
  const auto at = [&](std::int64_t i, float* block_rows) { return block_rows + (begin + i) % block_size * dim; };
  transpose_rows<S>(
      [&](std::int64_t i) { return at(i, job.cache.keys(job.layer, job.block(tile.seq, begin + i), tile.kv_head)); },
      count, dim, kKeyTile, scratch.keys);
  for (std::int64_t i = 0; i < count; ++i) {
    const float* from = at(i, job.cache.values(job.layer, job.block(tile.seq, begin + i), tile.kv_head));
    __builtin_memcpy(scratch.values + i * dim, from, sizeof(float) * dim);
  }
}

// Turns a row's scores into weights, and rescales what it has so far when the maximum grows. Columns from `visible` on
// get 0.
template <class S>
void soften_row(std::int64_t visible, std::int64_t count, std::int64_t dim, float* scores, float* sums, float& largest,
                float& total) {
  if (visible < 0) visible = 0;
  typename S::Vec best = S::all(largest);
  std::int64_t i = 0;
  for (; i + S::kWidth <= visible; i += S::kWidth) best = S::max(S::load(scores + i), best);
  float now = S::largest(best);
  for (; i < visible; ++i) now = scores[i] > now ? scores[i] : now;
  if (now != largest) {
    const float factor = __builtin_expf(largest - now);  // 0 for the first tile
    scale_row<S>(sums, factor, nullptr, dim, sums);
    total *= factor;
    largest = now;
  }
  typename S::Vec sum = S::zero();
  for_vectors<S>(visible, [&](long j, int lanes) {
    const typename S::Vec e = exp<S>(S::sub(S::load_first(scores + j, lanes), S::all(now)));
    S::store_first(scores + j, e, lanes);
    sum = S::add(sum, S::load_first(scores + j, lanes));
  });
  for (std::int64_t j = visible; j < count; ++j) scores[j] = 0.0F;
  total += S::sum(sum);
}

template <class S>
void attend_keys(const AttentionJob& job, const QueryTile& tile, std::int64_t begin, std::int64_t end,
                 AttentionScratch& scratch) {
  const std::int64_t dim = job.shape.head_dim;
  for (std::int64_t key = begin; key < end; key += kKeyTile) {
    const std::int64_t count = end - key < kKeyTile ? end - key : kKeyTile;
    gather_keys<S>(job, tile, key, count, scratch);
    gemm<S, false>({tile.rows(), count, dim}, {scratch.queries, dim, 1}, scratch.keys, kKeyTile, scratch.scores,
                   kKeyTile);
    for (std::int64_t r = 0; r < tile.rows(); ++r) {
      const std::int64_t visible = tile.position(r) + 1 - key;
      soften_row<S>(visible < count ? visible : count, count, dim, scratch.scores + r * kKeyTile,
                    scratch.sums + r * dim, scratch.largest[r], scratch.totals[r]);
    }
    gemm<S, true>({tile.rows(), dim, count}, {scratch.scores, kKeyTile, 1}, scratch.values, dim, scratch.sums, dim);
  }
}

template <class S>
void run_attention_task(const AttentionJob& job, const AttentionPlan& plan, std::int64_t seq_index, std::int64_t task,
                        AttentionScratch scratch) {
  const SeqPlan& seq = plan.seqs[seq_index];
  const std::int64_t dim = job.shape.head_dim;
  const std::int64_t split = task % seq.splits;
  const std::int64_t kv_head = task / seq.splits % job.shape.kv_heads;
  QueryTile tile{seq_index, kv_head, task / (seq.splits * job.shape.kv_heads) * seq.tile, 0, 0, job.group()};
  tile.tokens = seq.tokens - tile.first_token < seq.tile ? seq.tokens - tile.first_token : seq.tile;
  tile.first_position = seq.context + tile.first_token;
  for (std::int64_t t = 0; t < tile.tokens; ++t) {
    const std::int64_t row = seq.begin + tile.first_token + t;
    const float* from = job.queries + (row * job.shape.q_heads + kv_head * tile.group) * dim;
    __builtin_memcpy(scratch.queries + t * tile.group * dim, from, sizeof(float) * tile.group * dim);
  }
  for (std::int64_t r = 0; r < tile.rows(); ++r) {
    scratch.largest[r] = -__builtin_inff();
    scratch.totals[r] = 0.0F;
  }
  __builtin_memset(scratch.sums, 0, sizeof(float) * tile.rows() * dim);
  const std::int64_t begin = split * seq.keys_per_split();
  const std::int64_t visible = tile.first_position + tile.tokens;
  const std::int64_t end = begin + seq.keys_per_split() < visible ? begin + seq.keys_per_split() : visible;
  attend_keys<S>(job, tile, begin, end, scratch);
  for (std::int64_t r = 0; r < tile.rows(); ++r) {
    const std::int64_t token = split * seq.tokens + tile.first_token + r / tile.group;
    const std::int64_t at = seq.first_partial + token * job.shape.q_heads + kv_head * tile.group + r % tile.group;
    __builtin_memcpy(plan.partials.sums + at * dim, scratch.sums + r * dim, sizeof(float) * dim);
    plan.partials.largest[at] = scratch.largest[r];
    plan.partials.totals[at] = scratch.totals[r];
  }
}

// ---- pass 3
// ------------------------------------------------------------------------------------------------------------

template <class S>
void join_head(const AttentionJob& job, const AttentionPlan& plan, const SeqPlan& seq, std::int64_t token,
               std::int64_t head) {
  const std::int64_t dim = job.shape.head_dim;
  const std::int64_t row = seq.begin + token;
  const auto at = [&](std::int64_t split) {
    return seq.first_partial + (split * seq.tokens + token) * job.shape.q_heads + head;
  };
  float largest = -__builtin_inff();
  for (std::int64_t i = 0; i < seq.splits; ++i) {
    if (plan.partials.largest[at(i)] > largest) largest = plan.partials.largest[at(i)];
  }
  float total = 0.0F;
  float* out = float_row(job.out, row) + head * dim;
  for (std::int64_t i = 0; i < seq.splits; ++i) {
    const float factor = __builtin_expf(plan.partials.largest[at(i)] - largest);
    total += factor * plan.partials.totals[at(i)];
    const float* sums = plan.partials.sums + at(i) * dim;
    for_vectors<S>(dim, [&](long c, int lanes) {
      const typename S::Vec before = i == 0 ? S::zero() : S::load_first(out + c, lanes);
      S::store_first(out + c, S::fma(S::all(factor), S::load_first(sums + c, lanes), before), lanes);
    });
  }
  const float* gate = float_row(job.qkv, row) + head * job.q_stride() + dim;
  for_vectors<S>(dim, [&](long c, int lanes) {
    typename S::Vec v = S::div(S::load_first(out + c, lanes), S::all(total));
    if (job.shape.output_gate) v = S::mul(v, sigmoid<S>(S::load_first(gate + c, lanes)));
    S::store_first(out + c, v, lanes);
  });
}

// The last sequence whose `first` is not beyond `index`.
template <class First>
std::int64_t seq_of(const AttentionPlan& plan, std::int64_t index, const First& first) {
  std::int64_t low = 0;
  std::int64_t high = plan.count;
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (first(plan.seqs[middle]) <= index ? low : high) = middle;
  }
  return low;
}

template <class S>
void attention(Context& context, const AttentionShape& shape, const Tensor& qkv, const Tensor& q_norm,
               const Tensor& k_norm, const Tensor& inv_freq, PagedKv& cache, std::int64_t layer, const Tensor& out) {
  const auto row_or_null = [](const Tensor& t) { return t.data == nullptr ? nullptr : float_row(t, 0); };
  const std::int64_t tokens = context.step->num_tokens();
  const std::int64_t half = shape.rotary_dim / 2;
  auto* queries = context.arena->take<float>(static_cast<std::size_t>(tokens * shape.q_heads * shape.head_dim));
  const AttentionJob job{
      *context.step, shape, qkv,    row_or_null(q_norm), row_or_null(k_norm), row_or_null(inv_freq), cache,
      layer,         out,   queries};
  const AttentionPlan plan = plan_attention(context, job);
  auto* angles = context.arena->take<float>(static_cast<std::size_t>(tokens * 2 * half));
  const std::int64_t size = AttentionScratch::floats(job.group(), shape.head_dim);
  auto* memory = context.arena->take<float>(static_cast<std::size_t>(size * context.pool->threads()));

  for_rows(context, tokens, 4 * qkv.cols, [&](std::int64_t row) {
    const std::int64_t s = seq_of(plan, row, [](const SeqPlan& seq) { return seq.begin; });
    const Rotation rotation{half, angles + row * 2 * half, angles + row * 2 * half + half};
    prepare_token<S>(job, s, row, plan.seqs[s].context + row - plan.seqs[s].begin, rotation);
  });
  context.pool->run(plan.tasks, [&](std::int64_t task, std::int32_t worker) {
    const std::int64_t s = seq_of(plan, task, [](const SeqPlan& seq) { return seq.first_task; });
    run_attention_task<S>(job, plan, s, task - plan.seqs[s].first_task,
                          AttentionScratch(job.group(), shape.head_dim, memory + worker * size));
  });
  for_rows(context, tokens, 8 * out.cols, [&](std::int64_t row) {
    const SeqPlan& seq = plan.seqs[seq_of(plan, row, [](const SeqPlan& p) { return p.begin; })];
    for (std::int64_t h = 0; h < shape.q_heads; ++h) join_head<S>(job, plan, seq, row - seq.begin, h);
  });
}

}  // namespace millrace::engine::cpu::fast
