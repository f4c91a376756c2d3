#include "engine/model/activations.h"

#include <algorithm>

#include "engine/model/shard.h"

namespace millrace::engine {
namespace {

// Channels of a dense or shared feed-forward on this rank.
std::int64_t feed_forward_width(const ModelConfig& config, int size) {
  return std::max(config.dense_intermediate, config.moe.shared_intermediate) / size;
}

std::int64_t qkv_width(const AttentionShape& shape) {
  return ((shape.output_gate ? 2 : 1) * shape.q_heads + 2 * shape.kv_heads) * shape.head_dim;
}

std::int64_t wide_width(const ModelConfig& config, int size) {
  const DeltaShape delta = delta_shape(config, size);
  const std::int64_t delta_in = delta.conv_channels() + delta.value_heads * (delta.value_dim + 2);
  return std::max({qkv_width(attention_shape(config, size)), delta_in, 2 * feed_forward_width(config, size)});
}

std::int64_t inner_width(const ModelConfig& config, int size) {
  const AttentionShape attention = attention_shape(config, size);
  return std::max({attention.q_heads * attention.head_dim, delta_shape(config, size).conv_channels(),
                   feed_forward_width(config, size)});
}

}  // namespace

AttentionShape attention_shape(const ModelConfig& config, int size) {
  AttentionShape shape;
  shape.q_heads = config.q_heads / size;
  shape.kv_heads = local_kv_heads(config, size);
  shape.head_dim = config.head_dim;
  shape.rotary_dim = config.rotary_dim;
  shape.output_gate = config.output_gate;
  shape.norm_eps = config.norm_eps;
  shape.rope_scale = config.rope_scale;
  shape.mrope = config.mrope;
  return shape;
}

DeltaShape delta_shape(const ModelConfig& config, int size) {
  DeltaShape shape;
  shape.key_heads = config.gdn_key_heads / size;
  shape.value_heads = config.gdn_value_heads / size;
  shape.key_dim = config.gdn_key_dim;
  shape.value_dim = config.gdn_value_dim;
  shape.conv_width = config.conv_width;
  return shape;
}

Activations::Activations(Backend& backend, const ModelConfig& config, const ModelOptions& options)
    : residual(backend, options.max_tokens, config.hidden),
      normed(backend, options.max_tokens, config.hidden),
      delta(backend, options.max_tokens, config.hidden),
      shared(backend, options.max_tokens, config.moe.shared_intermediate > 0 ? config.hidden : 1),
      wide(backend, options.max_tokens, wide_width(config, options.layout.size)),
      inner(backend, options.max_tokens, inner_width(config, options.layout.size)),
      core(backend, options.max_tokens,
           std::max<std::int64_t>(1, config.gdn_value_heads / options.layout.size * config.gdn_value_dim)),
      router(backend, options.max_tokens, config.moe.num_experts + 1),
      expert_ids(backend, options.max_tokens, std::max<std::int64_t>(1, config.moe.experts_per_token), DType::kI32),
      expert_weights(backend, options.max_tokens, std::max<std::int64_t>(1, config.moe.experts_per_token)),
      logit_hidden(backend, options.max_logit_rows, config.hidden),
      logits(backend, options.max_logit_rows, vocab_share(config, options.layout.size)),
      all_logits(backend, options.layout.size > 1 && options.layout.rank == 0 ? options.max_logit_rows : 1,
                 vocab_share(config, options.layout.size) * options.layout.size) {}

}  // namespace millrace::engine
