#include "tests/engine/model/tiny.h"

#include "engine/model/tensors.h"
#include "tests/engine/model/family.h"

namespace millrace::engine::test {
namespace {

std::size_t bytes_of(const std::vector<std::int64_t>& shape, const std::string& dtype) {
  std::size_t count = dtype == "F32" ? 4 : 2;
  for (const std::int64_t size : shape) count *= static_cast<std::size_t>(size);
  return count;
}

}  // namespace

nlohmann::json tiny_dense() {
  return {{"architectures", {"Qwen3_5ForCausalLM"}},
          {"model_type", "qwen3_5_text"},
          {"hidden_size", 16},
          {"vocab_size", 37},
          {"max_position_embeddings", 512},
          {"num_hidden_layers", 2},
          {"layer_types", {"linear_attention", "full_attention"}},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 16},
          {"linear_num_key_heads", 4},
          {"linear_num_value_heads", 8},
          {"linear_key_head_dim", 16},
          {"linear_value_head_dim", 16},
          {"intermediate_size", 24},
          {"tie_word_embeddings", false}};
}

nlohmann::json tiny_moe() {
  nlohmann::json config = tiny_dense();
  config["model_type"] = "qwen3_5_moe_text";
  config.erase("intermediate_size");
  config["num_experts"] = 4;
  config["num_experts_per_tok"] = 2;
  config["moe_intermediate_size"] = 8;
  config["shared_expert_intermediate_size"] = 8;
  return config;
}

std::vector<TensorToWrite> zero_tensors(const nlohmann::json& config, const std::string& prefix,
                                        const std::string& dtype) {
  std::vector<TensorToWrite> tensors;
  for (const TensorSpec& spec : model_tensors(parse(config))) {
    const std::string name = spec.name == kHeadName ? spec.name : prefix + spec.name;
    tensors.push_back({name, dtype, spec.shape, std::string(bytes_of(spec.shape, dtype), '\0')});
  }
  return tensors;
}

std::vector<TensorToWrite> unfused(const nlohmann::json& config, std::vector<TensorToWrite> tensors) {
  const ModelConfig model = parse(config);
  const std::vector<std::int64_t> in{model.moe.intermediate, model.hidden};
  const std::vector<std::int64_t> out{model.hidden, model.moe.intermediate};
  std::vector<TensorToWrite> result;
  for (TensorToWrite& tensor : tensors) {
    const auto at = tensor.name.find("experts.");
    if (at == std::string::npos) {
      result.push_back(std::move(tensor));
      continue;
    }
    const std::string stem = tensor.name.substr(0, at + 8);
    for (std::int64_t expert = 0; expert < model.moe.num_experts; ++expert) {
      const std::string base = stem + std::to_string(expert) + ".";
      const std::string zeros(bytes_of(in, tensor.dtype), '\0');
      if (tensor.name.ends_with("down_proj")) {
        result.push_back({base + "down_proj.weight", tensor.dtype, out, zeros});
      } else {
        result.push_back({base + "gate_proj.weight", tensor.dtype, in, zeros});
        result.push_back({base + "up_proj.weight", tensor.dtype, in, zeros});
      }
    }
  }
  return result;
}

void write_model(const millrace::test::TempDirectory& directory, const nlohmann::json& config,
                 const std::vector<TensorToWrite>& tensors) {
  directory.write("config.json", config.dump());
  directory.write("model.safetensors", safetensors_bytes(tensors));
}

}  // namespace millrace::engine::test
