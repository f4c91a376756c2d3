#include "engine/model/tensors.h"

namespace millrace::engine {
namespace {

class LayerList {
 public:
  LayerList(const ModelConfig& config, std::int64_t layer, std::vector<TensorSpec>& list)
      : c_(config), layer_(layer), list_(list) {}

  void attention() {
    const std::int64_t q_rows = c_.q_heads * c_.head_dim * (c_.output_gate ? 2 : 1);
    const std::int64_t kv_rows = c_.kv_heads * c_.head_dim;
    add("self_attn.q_proj.weight", {q_rows, c_.hidden}, Split::kRows);
    add("self_attn.k_proj.weight", {kv_rows, c_.hidden}, Split::kKvRows);
    add("self_attn.v_proj.weight", {kv_rows, c_.hidden}, Split::kKvRows);
    if (c_.qkv_bias) {
      add("self_attn.q_proj.bias", {q_rows}, Split::kRows);
      add("self_attn.k_proj.bias", {kv_rows}, Split::kKvRows);
      add("self_attn.v_proj.bias", {kv_rows}, Split::kKvRows);
    }
    add("self_attn.o_proj.weight", {c_.hidden, c_.q_heads * c_.head_dim}, Split::kColumns);
    if (c_.qk_norm) {
      add("self_attn.q_norm.weight", {c_.head_dim}, Split::kReplicate);
      add("self_attn.k_norm.weight", {c_.head_dim}, Split::kReplicate);
    }
  }

  void delta() {
    const std::int64_t value_rows = c_.gdn_value_heads * c_.gdn_value_dim;
    const std::int64_t channels = 2 * c_.gdn_key_heads * c_.gdn_key_dim + value_rows;
    add("linear_attn.in_proj_qkv.weight", {channels, c_.hidden}, Split::kDeltaSections);
    add("linear_attn.in_proj_z.weight", {value_rows, c_.hidden}, Split::kRows);
    add("linear_attn.in_proj_b.weight", {c_.gdn_value_heads, c_.hidden}, Split::kRows);
    add("linear_attn.in_proj_a.weight", {c_.gdn_value_heads, c_.hidden}, Split::kRows);
    add("linear_attn.conv1d.weight", {channels, 1, c_.conv_width}, Split::kDeltaSections);
    add("linear_attn.A_log", {c_.gdn_value_heads}, Split::kRows);
    add("linear_attn.dt_bias", {c_.gdn_value_heads}, Split::kRows);
    add("linear_attn.norm.weight", {c_.gdn_value_dim}, Split::kReplicate);
    add("linear_attn.out_proj.weight", {c_.hidden, value_rows}, Split::kColumns);
  }

  void mlp(const std::string& prefix, std::int64_t intermediate) {
    add(prefix + "gate_proj.weight", {intermediate, c_.hidden}, Split::kRows);
    add(prefix + "up_proj.weight", {intermediate, c_.hidden}, Split::kRows);
    add(prefix + "down_proj.weight", {c_.hidden, intermediate}, Split::kColumns);
  }

  void moe() {
    const MoeConfig& moe = c_.moe;
    add("mlp.gate.weight", {moe.num_experts, c_.hidden}, Split::kReplicate);
    add("mlp.experts.gate_up_proj", {moe.num_experts, 2 * moe.intermediate, c_.hidden}, Split::kExpertGateUp);
    add("mlp.experts.down_proj", {moe.num_experts, c_.hidden, moe.intermediate}, Split::kExpertDown);
    if (moe.shared_intermediate == 0) return;
    mlp("mlp.shared_expert.", moe.shared_intermediate);
    add("mlp.shared_expert_gate.weight", {1, c_.hidden}, Split::kReplicate);
  }

  void add(const std::string& name, std::vector<std::int64_t> shape, Split split) {
    list_.push_back({layer_tensor(layer_, name), std::move(shape), split});
  }

 private:
  const ModelConfig& c_;
  std::int64_t layer_;
  std::vector<TensorSpec>& list_;
};

bool is_fused_expert(const TensorSpec& spec) {
  return spec.split == Split::kExpertGateUp || spec.split == Split::kExpertDown;
}

}  // namespace

std::string layer_tensor(std::int64_t layer, const std::string& name) {
  return "layers." + std::to_string(layer) + "." + name;
}

std::vector<TensorSpec> layer_tensors(const ModelConfig& config, std::int64_t layer) {
  std::vector<TensorSpec> list;
  LayerList tensors(config, layer, list);
  tensors.add("input_layernorm.weight", {config.hidden}, Split::kReplicate);
  const bool attends = config.layers[static_cast<std::size_t>(layer)] == LayerKind::kFullAttention;
  attends ? tensors.attention() : tensors.delta();
  tensors.add("post_attention_layernorm.weight", {config.hidden}, Split::kReplicate);
  config.is_moe() ? tensors.moe() : tensors.mlp("mlp.", config.dense_intermediate);
  return list;
}

std::vector<TensorSpec> model_tensors(const ModelConfig& config) {
  std::vector<TensorSpec> list{{kEmbedName, {config.vocab, config.hidden}, Split::kVocabRows}};
  for (std::int64_t layer = 0; layer < config.num_layers(); ++layer) {
    for (TensorSpec& spec : layer_tensors(config, layer)) list.push_back(std::move(spec));
  }
  list.push_back({kFinalNormName, {config.hidden}, Split::kReplicate});
  if (!config.tied_embeddings) list.push_back({kHeadName, {config.vocab, config.hidden}, Split::kVocabRows});
  return list;
}

std::int64_t matrix_rows(const TensorSpec& spec) {
  return is_fused_expert(spec) ? spec.shape[0] * spec.shape[1] : spec.shape[0];
}

std::int64_t matrix_cols(const TensorSpec& spec) {
  return spec.shape.size() == 1 ? 1 : spec.shape.back();
}

std::int64_t count_parameters(const ModelConfig& config) {
  std::int64_t total = 0;
  for (const TensorSpec& spec : model_tensors(config)) total += matrix_rows(spec) * matrix_cols(spec);
  return total;
}

}  // namespace millrace::engine
