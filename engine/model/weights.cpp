#include "engine/model/weights.h"

#include <cmath>
#include <unordered_map>

#include "engine/model/host_floats.h"
#include "engine/model/shard.h"

namespace millrace::engine {
namespace {

HostMatrix slice(const HostMatrix& whole, const Range& rows, const Range& columns) {
  const auto offset = static_cast<std::size_t>(rows.begin * whole.stride + columns.begin) * size_of(whole.dtype);
  return {static_cast<const std::byte*>(whole.data) + offset, whole.dtype, rows.count, columns.count, whole.stride};
}

class WeightLoader {
 public:
  WeightLoader(const WeightSource& source, const ModelConfig& config, const RankLayout& layout, Backend& backend,
               const std::function<void()>& on_tensor)
      : source_(source), config_(config), layout_(layout), backend_(backend), on_tensor_(on_tensor) {
    for (TensorSpec& spec : model_tensors(config)) specs_.emplace(spec.name, std::move(spec));
  }

  ModelWeights load() {
    ModelWeights weights;
    weights.embed = vocabulary(kEmbedName);
    if (!config_.tied_embeddings) weights.head = vocabulary(kHeadName);
    weights.final_norm = norm(kFinalNormName);
    weights.inv_freq = upload(config_.inv_freq, 1);
    for (std::int64_t layer = 0; layer < config_.num_layers(); ++layer) weights.layers.push_back(load_layer(layer));
    weights.bytes = bytes_;
    return weights;
  }

 private:
  LayerWeights load_layer(std::int64_t layer) {
    layer_ = layer;
    LayerWeights weights;
    weights.mixer_norm = norm(layer_tensor(layer, "input_layernorm.weight"));
    weights.ffn_norm = norm(layer_tensor(layer, "post_attention_layernorm.weight"));
    if (config_.layers[static_cast<std::size_t>(layer)] == LayerKind::kFullAttention) {
      weights.attention = load_attention();
    } else {
      weights.delta = load_delta();
    }
    if (config_.is_moe()) {
      weights.moe = load_moe();
    } else {
      weights.mlp = load_mlp("mlp.");
    }
    return weights;
  }

  AttentionWeights load_attention() {
    AttentionWeights weights;
    std::vector<std::string> biases;
    if (config_.qkv_bias) biases = {"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"};
    weights.qkv = linear({"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"}, biases);
    weights.out = linear({"self_attn.o_proj.weight"});
    if (config_.qk_norm) {
      weights.q_norm = norm(in_layer("self_attn.q_norm.weight"));
      weights.k_norm = norm(in_layer("self_attn.k_norm.weight"));
    }
    return weights;
  }

  DeltaWeights load_delta() {
    DeltaWeights weights;
    weights.in = linear({"linear_attn.in_proj_qkv.weight", "linear_attn.in_proj_z.weight",
                         "linear_attn.in_proj_b.weight", "linear_attn.in_proj_a.weight"});
    const std::vector<float> conv = floats(in_layer("linear_attn.conv1d.weight"));
    weights.conv = upload(conv, static_cast<std::int64_t>(conv.size()) / config_.conv_width);
    std::vector<float> decay = floats(in_layer("linear_attn.A_log"));
    for (float& value : decay) value = std::exp(value);
    weights.decay = upload(decay, 1);
    weights.dt_bias = upload(floats(in_layer("linear_attn.dt_bias")), 1);
    weights.norm = upload(floats(in_layer("linear_attn.norm.weight")), 1);  // the one norm that is never zero-centred
    weights.out = linear({"linear_attn.out_proj.weight"});
    return weights;
  }

  MlpWeights load_mlp(const std::string& prefix) {
    MlpWeights weights;
    weights.gate_up = linear({prefix + "gate_proj.weight", prefix + "up_proj.weight"});
    weights.down = linear({prefix + "down_proj.weight"});
    return weights;
  }

  MoeWeights load_moe() {
    MoeWeights weights;
    if (config_.moe.shared_intermediate == 0) {
      weights.router = linear({"mlp.gate.weight"});
      return weights;
    }
    weights.router = linear({"mlp.gate.weight", "mlp.shared_expert_gate.weight"});
    weights.shared = load_mlp("mlp.shared_expert.");
    return weights;
  }

  std::string in_layer(const std::string& name) const { return layer_tensor(layer_, name); }

  // This rank's parts of several tensors of the layer, stacked.
  std::unique_ptr<PackedLinear> linear(const std::vector<std::string>& names,
                                       const std::vector<std::string>& bias_names = {}) {
    std::vector<HostWeight> wholes;
    std::vector<HostMatrix> parts;
    for (const std::string& name : names) {
      const TensorSpec& spec = specs_.at(in_layer(name));
      wholes.push_back(source_.tensor(spec));
      const Shard shard = shard_of(spec, config_, layout_, {});
      for (const Range& rows : shard.rows) parts.push_back(slice(wholes.back().matrix, rows, shard.columns));
    }
    std::vector<float> bias;
    for (const std::string& name : bias_names) {
      const std::vector<float> part = floats(in_layer(name));
      bias.insert(bias.end(), part.begin(), part.end());
    }
    auto packed = count(backend_.pack_linear(parts, bias));
    for (const HostWeight& whole : wholes) done_with(whole);
    return packed;
  }

  // This rank's rows of the embedding or the head, filled up with zeros so that all ranks have equally many.
  std::unique_ptr<PackedLinear> vocabulary(const std::string& name) {
    const TensorSpec& spec = specs_.at(name);
    const HostWeight whole = source_.tensor(spec);
    const Shard shard = shard_of(spec, config_, layout_, {});
    const Range rows = shard.rows.front();
    const std::int64_t padding = vocab_share(config_, layout_.size) - rows.count;
    const std::vector<std::byte> zeros(static_cast<std::size_t>(padding * config_.hidden) *
                                       size_of(whole.matrix.dtype));
    std::vector<HostMatrix> parts;
    if (rows.count > 0) parts.push_back(slice(whole.matrix, rows, shard.columns));
    if (padding > 0) parts.push_back({zeros.data(), whole.matrix.dtype, padding, config_.hidden, config_.hidden});
    auto packed = count(backend_.pack_linear(parts, {}));
    done_with(whole);
    return packed;
  }

  DeviceTensor norm(const std::string& name) {
    std::vector<float> values = floats(name);
    if (config_.zero_centred_norms) {
      for (float& value : values) value += 1.0F;
    }
    return upload(values, 1);
  }

  std::vector<float> floats(const std::string& name) {
    const TensorSpec& spec = specs_.at(name);
    const HostWeight whole = source_.tensor(spec);
    const Shard shard = shard_of(spec, config_, layout_, {});
    std::vector<float> values;
    for (const Range& rows : shard.rows) {
      const std::vector<float> part = to_floats(slice(whole.matrix, rows, shard.columns));
      values.insert(values.end(), part.begin(), part.end());
    }
    done_with(whole);
    return values;
  }

  DeviceTensor upload(const std::vector<float>& values, std::int64_t rows) {
    DeviceTensor tensor = backend_.allocate(rows, static_cast<std::int64_t>(values.size()) / rows, DType::kF32);
    backend_.upload(tensor.view, values.data());
    bytes_ += values.size() * sizeof(float);
    return tensor;
  }

  std::unique_ptr<PackedLinear> count(std::unique_ptr<PackedLinear> packed) {
    bytes_ += packed->bytes();
    return packed;
  }

  void done_with(const HostWeight& whole) {
    source_.drop(whole);
    on_tensor_();
  }

  const WeightSource& source_;
  const ModelConfig& config_;
  const RankLayout& layout_;
  Backend& backend_;
  const std::function<void()>& on_tensor_;
  std::unordered_map<std::string, TensorSpec> specs_;
  std::int64_t layer_ = 0;  // being loaded
  std::size_t bytes_ = 0;
};

}  // namespace

ModelWeights load_weights(const WeightSource& source, const ModelConfig& config, const RankLayout& layout,
                          Backend& backend, const std::function<void()>& on_tensor) {
  return WeightLoader(source, config, layout, backend, on_tensor).load();
}

}  // namespace millrace::engine
