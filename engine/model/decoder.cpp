#include "engine/model/decoder.h"

#include <algorithm>
#include <cassert>
#include <functional>
#include <utility>

#include "common/error.h"
#include "engine/model/shard.h"

namespace millrace::engine {
namespace {

// Turns the number of things read so far into the caller's 0..1.
class Progress {
 public:
  Progress(std::function<void(double)> report, std::int64_t total) : report_(std::move(report)), total_(total) {}

  void advance() {
    ++done_;
    if (report_) report_(std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_)));
  }

 private:
  std::function<void(double)> report_;
  std::int64_t total_;
  std::int64_t done_ = 0;
};

std::int64_t things_to_read(const ModelConfig& config, const RankLayout& layout) {
  const auto tensors = static_cast<std::int64_t>(model_tensors(config).size());
  if (!config.is_moe()) return tensors;
  // The two fused tensors of a layer are read expert by expert.
  return tensors - 2 * config.num_layers() + config.num_layers() * (config.moe.num_experts / layout.expert_parallel);
}

}  // namespace

Decoder::Decoder(ModelConfig config, std::unique_ptr<WeightSource> source, const ModelOptions& options,
                 Backend& backend, Comm& comm)
    : config_(std::move(config)),
      layout_(options.layout),
      backend_(backend),
      comm_(comm),
      max_tokens_(options.max_tokens),
      max_logit_rows_(options.max_logit_rows),
      source_(std::move(source)),
      max_tokens_counted_(options.max_tokens_counted),
      buffers_(backend, config_, options) {
  Progress progress(options.on_progress, things_to_read(config_, layout_));
  const std::function<void()> advance = [&progress] { progress.advance(); };
  weights_ = load_weights(*source_, config_, layout_, backend_, advance);
  if (!config_.is_moe()) return;
  experts_ =
      std::make_unique<ExpertStore>(*source_, config_, layout_, options.redundant_expert_slots, backend_, advance);
  expert_counts_ = backend_.allocate(config_.num_layers(), config_.moe.num_experts, DType::kI32);
  expert_totals_.assign(static_cast<std::size_t>(config_.num_layers() * config_.moe.num_experts), 0);
}

KvCacheShape Decoder::kv_cache_shape(std::int64_t blocks, std::int64_t block_size) const {
  return {config_.num_attention_layers(), blocks, block_size, local_kv_heads(config_, layout_.size), config_.head_dim};
}

StateCacheShape Decoder::state_cache_shape(std::int64_t slots) const {
  return {config_.num_gdn_layers(), slots, delta_shape(config_, layout_.size)};
}

Tensor Decoder::forward(const StepInputs& inputs, KvCache& kv, StateCache* states) {
  const std::int64_t tokens = inputs.num_tokens();
  assert(tokens > 0 && tokens <= max_tokens_);
  assert(static_cast<std::int64_t>(inputs.logit_rows.size()) <= max_logit_rows_);
  if (experts_) {
    if (tokens_counted_ + tokens > max_tokens_counted_) move_expert_counts();
    tokens_counted_ += tokens;
  }
  Step step{tokens, kv, states};
  step.residual = buffers_.residual.view(tokens, config_.hidden);
  step.normed = buffers_.normed.view(tokens, config_.hidden);
  step.delta = buffers_.delta.view(tokens, config_.hidden);

  embed(step);
  for (std::int64_t layer = 0; layer < config_.num_layers(); ++layer) {
    const LayerWeights& weights = weights_.layers[static_cast<std::size_t>(layer)];
    weights.attention ? attend(*weights.attention, step) : mix_delta(*weights.delta, step);
    sum_over_ranks(step.delta);
    backend_.add_rms_norm(step.residual, step.delta, weights.ffn_norm.view, config_.norm_eps, step.normed);
    weights.moe ? route_to_experts(*weights.moe, layer, step) : feed_forward(*weights.mlp, step, step.delta);
    sum_over_ranks(step.delta);
    finish_layer(layer, step);
  }
  return output_logits(inputs, step);
}

void Decoder::embed(const Step& step) {
  backend_.embed(*weights_.embed, layout_.rank * vocab_share(config_, layout_.size), step.residual);
  sum_over_ranks(step.residual);
  probe(-1, step.residual);
  backend_.rms_norm(step.residual, weights_.layers.front().mixer_norm.view, config_.norm_eps, step.normed);
}

void Decoder::attend(const AttentionWeights& weights, Step& step) {
  const AttentionShape shape = attention_shape(config_, layout_.size);
  const Tensor qkv = buffers_.wide.view(step.tokens, weights.qkv->out_features());
  const Tensor heads = buffers_.inner.view(step.tokens, shape.q_heads * shape.head_dim);
  backend_.linear(*weights.qkv, step.normed, qkv);
  backend_.attention(shape, qkv, weights.q_norm.view, weights.k_norm.view, weights_.inv_freq.view, step.kv,
                     step.kv_layer++, heads);
  backend_.linear(*weights.out, heads, step.delta);
}

void Decoder::mix_delta(const DeltaWeights& weights, Step& step) {
  assert(step.states != nullptr);
  const DeltaShape shape = delta_shape(config_, layout_.size);
  const std::int64_t channels = shape.conv_channels();
  const std::int64_t values = shape.value_heads * shape.value_dim;
  const Tensor in = buffers_.wide.view(step.tokens, weights.in->out_features());
  const Tensor qkv = buffers_.inner.view(step.tokens, channels);
  const Tensor heads = buffers_.core.view(step.tokens, values);
  backend_.linear(*weights.in, step.normed, in);
  backend_.causal_conv(in.columns(0, channels), weights.conv.view, *step.states, step.state_layer, qkv);
  backend_.gated_delta_rule(qkv, in.columns(channels + values, 2 * shape.value_heads), weights.decay.view,
                            weights.dt_bias.view, *step.states, step.state_layer++, heads);
  backend_.gated_rms_norm(heads, in.columns(channels, values), weights.norm.view, config_.norm_eps);
  backend_.linear(*weights.out, heads, step.delta);
}

void Decoder::feed_forward(const MlpWeights& weights, const Step& step, const Tensor& out) {
  const Tensor gate_up = buffers_.wide.view(step.tokens, weights.gate_up->out_features());
  const Tensor activated = buffers_.inner.view(step.tokens, weights.down->in_features());
  backend_.linear(*weights.gate_up, step.normed, gate_up);
  backend_.silu_mul(gate_up, activated);
  backend_.linear(*weights.down, activated, out);
}

// Every rank routes all tokens alike and computes the experts it holds; the shared expert is divided by width like a
// dense layer, so that the sum over the ranks counts everything once.
void Decoder::route_to_experts(const MoeWeights& weights, std::int64_t layer, const Step& step) {
  const std::int64_t num_experts = config_.moe.num_experts;
  const Tensor logits = buffers_.router.view(step.tokens, weights.router->out_features());
  const Tensor ids = buffers_.expert_ids.view(step.tokens, config_.moe.experts_per_token);
  const Tensor shares = buffers_.expert_weights.view(step.tokens, config_.moe.experts_per_token);
  backend_.linear(*weights.router, step.normed, logits);
  backend_.route(logits.columns(0, num_experts), ids, shares, expert_counts_.view.row_range(layer, 1));
  backend_.experts(experts_->packed(layer), experts_->map(layer), step.normed, ids, shares, step.delta);
  if (!weights.shared) return;
  const Tensor shared = buffers_.shared.view(step.tokens, config_.hidden);
  feed_forward(*weights.shared, step, shared);
  backend_.add_sigmoid_gated(shared, logits.columns(num_experts, 1), step.delta);
}

// Adds the last contribution and prepares the next layer's input; the final norm waits for the rows that want logits.
void Decoder::finish_layer(std::int64_t layer, const Step& step) {
  const bool last = layer + 1 == config_.num_layers();
  if (last) {
    backend_.add(step.residual, step.delta);
  } else {
    const LayerWeights& next = weights_.layers[static_cast<std::size_t>(layer + 1)];
    backend_.add_rms_norm(step.residual, step.delta, next.mixer_norm.view, config_.norm_eps, step.normed);
  }
  probe(layer, step.residual);
}

Tensor Decoder::output_logits(const StepInputs& inputs, const Step& step) {
  const auto rows = static_cast<std::int64_t>(inputs.logit_rows.size());
  if (rows == 0) return {};
  const Tensor hidden = buffers_.logit_hidden.view(rows, config_.hidden);
  const std::int64_t share = vocab_share(config_, layout_.size);
  const Tensor logits = buffers_.logits.view(rows, share);
  backend_.gather_logit_rows(step.residual, hidden);
  backend_.rms_norm(hidden, weights_.final_norm.view, config_.norm_eps, hidden);
  backend_.linear(weights_.output_head(), hidden, logits);
  if (layout_.size == 1) return logits;
  const Tensor all = layout_.rank == 0 ? buffers_.all_logits.view(rows, share * layout_.size) : Tensor{};
  comm_.gather(logits, all, 0);
  return layout_.rank == 0 ? all.columns(0, config_.vocab)
                           : Tensor{};  // the padding of the last ranks is behind the vocabulary
}

void Decoder::sum_over_ranks(const Tensor& x) {
  if (layout_.size > 1) comm_.all_reduce(x);
}

void Decoder::probe(std::int64_t layer, const Tensor& residual) const {
  if (probe_) probe_(layer, residual);
}

void Decoder::prepare_placement(const ExpertPlacement& next, ExpertPace& pace) {
  if (!experts_) throw common::Error(common::Code::kInvalidArgument, "a dense model has no experts to place");
  experts_->prepare(next, pace);
}

void Decoder::commit_placement() {
  if (experts_) experts_->commit();
}

std::vector<std::int64_t> Decoder::take_expert_counts() {
  if (!experts_) return {};
  move_expert_counts();
  return std::exchange(expert_totals_, std::vector<std::int64_t>(expert_totals_.size()));
}

void Decoder::move_expert_counts() {
  std::vector<std::int32_t> counts(expert_totals_.size());
  backend_.download(expert_counts_.view, counts.data());
  backend_.upload(expert_counts_.view, std::vector<std::int32_t>(counts.size()).data());
  std::transform(counts.begin(), counts.end(), expert_totals_.begin(), expert_totals_.begin(), std::plus<>());
  tokens_counted_ = 0;
}

}  // namespace millrace::engine
