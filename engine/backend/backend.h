// The only seam between the model and hardware. One Backend per rank, used by that rank's thread alone except where
// said.
//
// Contract
// - Activations are F32 matrices with one token per row (a back end may compute in less where its tests allow).
// - Weights are opaque after pack_*: each back end chooses its layout and precision of arithmetic.
// - Between begin_step and finish_step nothing waits for the device and nothing of the device is read by the caller, so
// the
//   operations of a step can be captured as a graph. Shapes of a step depend on StepInputs only.
// - Operations are in order. Errors of the arguments are programmer errors (assert); running out of memory in allocate
// and
//   pack throws common::Error{kResourceExhausted}.
// Formulas: specs of the Qwen3.5 forward pass as implemented by transformers' modeling_qwen3_5 (and _moe); see
// docs/architecture.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/backend/mrope.h"
#include "engine/backend/step.h"
#include "engine/backend/tensor.h"

namespace millrace::engine {

// A linear layer's weight, or an embedding table, in the back end's own layout.
class PackedLinear {
 public:
  virtual ~PackedLinear() = default;
  virtual std::int64_t out_features() const = 0;
  virtual std::int64_t in_features() const = 0;
  virtual std::size_t bytes() const = 0;
};

struct ExpertShape {
  std::int64_t slots = 0;  // physical experts held by this rank in one layer
  std::int64_t hidden = 0;
  std::int64_t intermediate = 0;  // this rank's share of an expert's width
};

// The experts of one layer on one rank, by physical slot.
class PackedExperts {
 public:
  virtual ~PackedExperts() = default;
  virtual const ExpertShape& shape() const = 0;
  virtual std::size_t bytes() const = 0;
};

// Which local slot serves a (token row, logical expert): replica `row % count[expert]`, whose local slot is
// slots[expert, replica], or -1 when that replica lives on another rank. Every rank applies the same rule, so each
// (row, expert) is computed exactly once in the group.
struct ExpertMap {
  Tensor slots;  // I32 (experts, max_replicas)
  Tensor count;  // I32 (experts, 1), at least 1
};

struct AttentionShape {
  std::int64_t q_heads = 0;   // of this rank
  std::int64_t kv_heads = 0;  // of this rank; divides q_heads; query head n uses KV head n / (q_heads / kv_heads)
  std::int64_t head_dim = 0;
  std::int64_t rotary_dim = 0;  // first channels of a head that rotate, "rotate-half" inside them
  bool output_gate = false;     // q is (q_heads, 2, head_dim): query then gate, per head
  float norm_eps = 1e-6F;
  float rope_scale = 1.0F;  // factor on cos and sin (YaRN)
  MropeSection mrope = {};  // for tokens with three rotary positions
};

struct KvCacheShape {
  std::int64_t layers = 0;
  std::int64_t blocks = 0;
  std::int64_t block_size = 0;  // tokens
  std::int64_t kv_heads = 0;    // of this rank
  std::int64_t head_dim = 0;
};

class KvCache {
 public:
  virtual ~KvCache() = default;
  virtual const KvCacheShape& shape() const = 0;
};

struct DeltaShape {
  std::int64_t key_heads = 0;    // of this rank
  std::int64_t value_heads = 0;  // of this rank; value head n uses key head n / (value_heads / key_heads)
  std::int64_t key_dim = 0;      // 128
  std::int64_t value_dim = 0;    // 128
  std::int64_t conv_width = 4;
  std::int64_t conv_channels() const { return 2 * key_heads * key_dim + value_heads * value_dim; }
};

struct StateCacheShape {
  std::int64_t layers = 0;
  std::int64_t slots = 0;
  DeltaShape delta;
};

class StateCache {
 public:
  virtual ~StateCache() = default;
  virtual const StateCacheShape& shape() const = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  // For logs and /metrics, for example "cpu (avx512_bf16, 2 threads)".
  virtual std::string description() const = 0;

  // ---- memory and weights: outside a step; may block ----------------------------------------------------------------
  virtual DeviceTensor allocate(std::int64_t rows, std::int64_t cols, DType dtype) = 0;  // zeroed
  virtual void upload(const Tensor& to, const void* host) = 0;                           // host is dense, `to`'s dtype
  virtual void download(const Tensor& from, void* host) = 0;                             // waits for the device
  // Rows of all parts stacked; all parts have the same cols. bias: F32, empty or one per stacked row.
  virtual std::unique_ptr<PackedLinear> pack_linear(std::span<const HostMatrix> parts, std::span<const float> bias) = 0;
  virtual std::unique_ptr<PackedExperts> allocate_experts(const ExpertShape& shape) = 0;  // any thread, any time
  // gate, up: (intermediate, hidden); down: (hidden, intermediate). May run on another thread while steps run, for a
  // slot that no ExpertMap in use names.
  virtual void pack_expert(PackedExperts& experts, std::int64_t slot, const HostMatrix& gate, const HostMatrix& up,
                           const HostMatrix& down) = 0;
  virtual std::unique_ptr<KvCache> allocate_kv_cache(const KvCacheShape& shape) = 0;
  virtual std::unique_ptr<StateCache> allocate_state_cache(const StateCacheShape& shape) = 0;
  // Bytes that the two calls above would take, for the memory budget.
  virtual std::size_t kv_block_bytes(const KvCacheShape& shape) const = 0;       // one block, all layers
  virtual std::size_t state_slot_bytes(const StateCacheShape& shape) const = 0;  // one slot, all layers

  // ---- a step
  // --------------------------------------------------------------------------------------------------------- `inputs`
  // stays unchanged until finish_step. `states` may be null (no GDN layers): used for slot_copies.
  virtual void begin_step(const StepInputs& inputs, StateCache* states) = 0;
  // Waits for the device. Tokens of sample(), one per logit row, in order; empty when sample() was not called.
  virtual std::span<const SampledToken> finish_step() = 0;

  // out[t] = table[token_ids[t] - first_row], zero where the id is outside this rank's rows.
  virtual void embed(const PackedLinear& table, std::int64_t first_row, const Tensor& out) = 0;
  // out = x W^T + bias, (rows, out_features).
  virtual void linear(const PackedLinear& weight, const Tensor& x, const Tensor& out) = 0;
  // out = x / sqrt(mean(x^2) + eps) * weight. weight F32 (1, cols): for zero-centred norms the loader has already
  // added 1.
  virtual void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) = 0;
  // residual += delta; out = rms_norm(residual).
  virtual void add_rms_norm(const Tensor& residual, const Tensor& delta, const Tensor& weight, float eps,
                            const Tensor& out) = 0;
  // residual += delta.
  virtual void add(const Tensor& residual, const Tensor& delta) = 0;
  // out row i = x row logit_rows[i].
  virtual void gather_logit_rows(const Tensor& x, const Tensor& out) = 0;
  // x = [gate | up], each cols/2 wide; out = silu(gate) * up.
  virtual void silu_mul(const Tensor& x, const Tensor& out) = 0;
  // out += sigmoid(gate) * x, gate (rows, 1).
  virtual void add_sigmoid_gated(const Tensor& x, const Tensor& gate, const Tensor& out) = 0;

  // Full attention. qkv = [q (with gates when output_gate) | k | v] per token. Norms q and k per head (q_norm, k_norm:
  // F32 (1, head_dim), data null: none), rotates by positions with inv_freq F32 (1, rotary_dim / 2), appends k, v to
  // `layer` of the cache at the sequences' blocks, attends causally over context + new tokens with scale
  // 1/sqrt(head_dim), multiplies by sigmoid(gate) when output_gate. out (tokens, q_heads * head_dim).
  virtual void attention(const AttentionShape& shape, const Tensor& qkv, const Tensor& q_norm, const Tensor& k_norm,
                         const Tensor& inv_freq, KvCache& cache, std::int64_t layer, const Tensor& out) = 0;

  // Causal depthwise convolution over time of each channel, then SiLU; reads and advances the conv state of the
  // sequences' slots. x, out (tokens, conv_channels); weight F32 (conv_channels, conv_width), the last column
  // multiplies the current token.
  virtual void causal_conv(const Tensor& x, const Tensor& weight, StateCache& states, std::int64_t layer,
                           const Tensor& out) = 0;
  // Gated delta rule; reads and advances the recurrent state. qkv = causal_conv's output [q | k | v]; ba = [b | a]
  // (tokens, 2 * value_heads); decay F32 (1, value_heads) = exp(A_log); dt_bias F32 (1, value_heads). L2-norms q and k
  // (eps 1e-6), scales q by 1/sqrt(key_dim). out (tokens, value_heads * value_dim). Chunked for sequences with many new
  // tokens, recurrent for few.
  virtual void gated_delta_rule(const Tensor& qkv, const Tensor& ba, const Tensor& decay, const Tensor& dt_bias,
                                StateCache& states, std::int64_t layer, const Tensor& out) = 0;
  // Per head of weight.cols channels: x = x / sqrt(mean(x^2) + eps) * weight * silu(z), in place.
  virtual void gated_rms_norm(const Tensor& x, const Tensor& z, const Tensor& weight, float eps) = 0;

  // softmax over all experts, top k, renormalised. logits (tokens, experts) -> ids I32 (tokens, k), weights F32
  // (tokens, k), best first, ties to the lower id. counts I32 (1, experts): adds the number of tokens of each expert.
  virtual void route(const Tensor& logits, const Tensor& ids, const Tensor& weights, const Tensor& counts) = 0;
  // out = sum over the local experts of weights * down(silu(gate x) * up x). Overwrites out (tokens, hidden).
  virtual void experts(const PackedExperts& experts, const ExpertMap& map, const Tensor& x, const Tensor& ids,
                       const Tensor& weights, const Tensor& out) = 0;

  // Draws one token for every row of logits (logit rows, vocabulary); columns at or beyond `valid_vocab` are never
  // drawn. Order of processing: logprobs of the raw logits; bans and bias; repetition, frequency, presence;
  // temperature; min_p; top_k; top_p.
  virtual void sample(const Tensor& logits, std::int64_t valid_vocab, std::span<const SamplingRow> rows) = 0;
};

struct BackendOptions {
  std::int32_t threads =
      0;            // CPU: threads of this rank, 0 = all cores divided by local ranks (caller computes) -> at least 1
  std::string isa;  // CPU: "" = best available, or "plain", "avx2", "avx512" to force a path (tests, benchmarks)
};

// First available back end of the ordered list when `name` is "auto"; a name that is unknown or unavailable throws
// kInvalidArgument with the list of names that would work.
std::unique_ptr<Backend> create_backend(std::string_view name, const BackendOptions& options);

}  // namespace millrace::engine
