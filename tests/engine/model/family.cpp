#include "tests/engine/model/family.h"

#include <stdexcept>

namespace millrace::engine::test {
namespace {

using nlohmann::json;

struct Size {
  const char* name;
  int hidden, layers, q_heads, kv_heads, value_heads;
  int experts, per_token, expert_width, shared_width;  // MoE
  int dense_width;
  bool tied;
};

constexpr Size kSizes[] = {
    {"397B-A17B", 4096, 60, 32, 2, 64, 512, 10, 1024, 1024, 0, false},
    {"122B-A10B", 3072, 48, 32, 2, 64, 256, 8, 1024, 1024, 0, false},
    {"35B-A3B", 2048, 40, 16, 2, 32, 256, 8, 512, 512, 0, false},
    {"27B", 5120, 64, 24, 4, 48, 0, 0, 0, 0, 17408, false},
    {"9B", 4096, 32, 16, 4, 32, 0, 0, 0, 0, 12288, false},
    {"4B", 2560, 32, 16, 4, 32, 0, 0, 0, 0, 9216, true},
    {"2B", 2048, 24, 8, 2, 16, 0, 0, 0, 0, 6144, true},
    {"0.8B", 1024, 24, 8, 2, 16, 0, 0, 0, 0, 3584, true},
};
constexpr const char* kQwq = "QwQ-32B";

json qwq() {
  return {{"architectures", {"Qwen2ForCausalLM"}},
          {"model_type", "qwen2"},
          {"hidden_act", "silu"},
          {"hidden_size", 5120},
          {"intermediate_size", 27648},
          {"max_position_embeddings", 131072},
          {"num_attention_heads", 40},
          {"num_hidden_layers", 64},
          {"num_key_value_heads", 8},
          {"rms_norm_eps", 1e-5},
          {"rope_scaling", nullptr},
          {"rope_theta", 1000000.0},
          {"sliding_window", 32768},
          {"tie_word_embeddings", false},
          {"use_sliding_window", false},
          {"vocab_size", 152064}};
}

json text_config(const Size& size) {
  json text = {{"attention_bias", false},
               {"attn_output_gate", true},
               {"full_attention_interval", 4},
               {"head_dim", 256},
               {"hidden_act", "silu"},
               {"hidden_size", size.hidden},
               {"linear_conv_kernel_dim", 4},
               {"linear_key_head_dim", 128},
               {"linear_num_key_heads", 16},
               {"linear_num_value_heads", size.value_heads},
               {"linear_value_head_dim", 128},
               {"max_position_embeddings", 262144},
               {"model_type", size.experts > 0 ? "qwen3_5_moe_text" : "qwen3_5_text"},
               {"mtp_num_hidden_layers", 1},
               {"num_attention_heads", size.q_heads},
               {"num_hidden_layers", size.layers},
               {"num_key_value_heads", size.kv_heads},
               {"rms_norm_eps", 1e-6},
               {"tie_word_embeddings", size.tied},
               {"vocab_size", 248320}};
  text["rope_parameters"] = {{"mrope_interleaved", true},
                             {"mrope_section", {11, 11, 10}},
                             {"partial_rotary_factor", 0.25},
                             {"rope_theta", 10000000},
                             {"rope_type", "default"}};
  if (size.experts == 0) {
    text["intermediate_size"] = size.dense_width;
    return text;
  }
  text["num_experts"] = size.experts;
  text["num_experts_per_tok"] = size.per_token;
  text["moe_intermediate_size"] = size.expert_width;
  text["shared_expert_intermediate_size"] = size.shared_width;
  text["mlp_only_layers"] = json::array();
  return text;
}

}  // namespace

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const Size& size : kSizes) names.emplace_back(size.name);
  names.emplace_back(kQwq);
  return names;
}

json family_json(const std::string& name) {
  if (name == kQwq) return qwq();
  for (const Size& size : kSizes) {
    if (name != size.name) continue;
    const bool moe = size.experts > 0;
    return {{"architectures", {moe ? "Qwen3_5MoeForConditionalGeneration" : "Qwen3_5ForConditionalGeneration"}},
            {"model_type", moe ? "qwen3_5_moe" : "qwen3_5"},
            {"text_config", text_config(size)},
            {"tie_word_embeddings", size.tied},
            {"vision_config", {{"depth", 27}}}};
  }
  throw std::invalid_argument(name);
}

ModelConfig parse(const json& document) {
  return parse_model_config(document.dump(), "config.json");
}

ModelConfig family_config(const std::string& name) {
  return parse(family_json(name));
}

}  // namespace millrace::engine::test
