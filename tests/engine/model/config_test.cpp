#include "engine/model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/error.h"
#include "engine/model/tensors.h"
#include "tests/engine/model/family.h"
#include "tests/support/fault.h"
#include "tests/support/temp_directory.h"

namespace millrace::engine::test {
namespace {

using common::Code;
using common::Error;
using millrace::test::Fault;
using millrace::test::fault_of;
using millrace::test::TempDirectory;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

std::string error_of(const json& document) {
  const Fault fault = fault_of([&] { parse(document); });
  if (fault.code) {
    EXPECT_EQ(*fault.code, Code::kInvalidArgument);
  }
  return fault.message;
}

TEST(Config, CountsTheParametersOfEveryReleasedSize) {
  const std::pair<const char*, std::int64_t> expected[] = {
      {"397B-A17B", 396'346'350'336}, {"122B-A10B", 122'111'526'912}, {"35B-A3B", 34'660'610'688},
      {"27B", 26'895'998'464},        {"9B", 8'953'803'264},          {"4B", 4'205'751'296},
      {"2B", 1'881'825'088},          {"0.8B", 752'393'024}};
  for (const auto& [name, count] : expected) EXPECT_EQ(count_parameters(family_config(name)), count) << name;
}

TEST(Config, ReadsTheShapeOfAMixtureOfExperts) {
  const ModelConfig config = family_config("397B-A17B");
  EXPECT_EQ(config.architecture, "Qwen3_5MoeForConditionalGeneration");
  EXPECT_EQ(config.num_attention_layers(), 15);
  EXPECT_EQ(config.num_gdn_layers(), 45);
  EXPECT_EQ(config.layers[3], LayerKind::kFullAttention);
  EXPECT_EQ(config.layers[4], LayerKind::kGatedDeltaNet);
  EXPECT_EQ(config.moe.num_experts, 512);
  EXPECT_EQ(config.moe.experts_per_token, 10);
  EXPECT_EQ(config.rotary_dim, 64);
  EXPECT_EQ(config.mtp_layers, 1);
  EXPECT_TRUE(config.zero_centred_norms);
  EXPECT_TRUE(config.output_gate);
  EXPECT_FALSE(config.qkv_bias);
  EXPECT_FALSE(config.tied_embeddings);
}

TEST(Config, ReadsQwq) {
  const ModelConfig config = family_config("QwQ-32B");
  EXPECT_EQ(config.num_attention_layers(), 64);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.rotary_dim, 128);
  EXPECT_FLOAT_EQ(config.norm_eps, 1e-5F);
  EXPECT_TRUE(config.qkv_bias);
  EXPECT_FALSE(config.qk_norm);
  EXPECT_FALSE(config.output_gate);
  EXPECT_FALSE(config.zero_centred_norms);
  EXPECT_FALSE(config.is_moe());
}

TEST(Config, ReadsATextOnlyExportLikeTheWrappedOne) {
  const json wrapped = family_json("0.8B");
  json flat = wrapped.at("text_config");
  flat["architectures"] = {"Qwen3_5ForCausalLM"};
  const ModelConfig config = parse(flat);
  EXPECT_EQ(config.hidden, 1024);
  EXPECT_EQ(config.layers, parse(wrapped).layers);
  EXPECT_EQ(config.inv_freq, parse(wrapped).inv_freq);
  EXPECT_TRUE(config.tied_embeddings);
}

TEST(Config, TakesAnExplicitListOfLayersBeforeTheInterval) {
  json document = family_json("0.8B");
  json& text = document["text_config"];
  text["num_hidden_layers"] = 3;
  text["layer_types"] = {"full_attention", "linear_attention", "full_attention"};
  const ModelConfig config = parse(document);
  EXPECT_EQ(config.layers,
            (std::vector{LayerKind::kFullAttention, LayerKind::kGatedDeltaNet, LayerKind::kFullAttention}));
}

TEST(Config, ComputesPlainFrequencies) {
  const ModelConfig config = family_config("9B");
  ASSERT_EQ(config.inv_freq.size(), 32U);
  EXPECT_EQ(config.rope_scale, 1.0F);
  for (std::size_t j = 0; j < 32; ++j) {
    const double exact = std::pow(1e7, -2.0 * static_cast<double>(j) / 64.0);
    EXPECT_NEAR(config.inv_freq[j], exact, exact * 3e-7) << j;
  }
}

// Numbers: the specification, section 6.
TEST(Config, AppliesYarnOfRopeParameters) {
  json document = family_json("9B");
  json& rope = document["text_config"]["rope_parameters"];
  rope["rope_type"] = "yarn";
  rope["factor"] = 4.0;
  rope["original_max_position_embeddings"] = 262144;
  const ModelConfig config = parse(document);
  EXPECT_NEAR(config.rope_scale, 1.138629, 1e-6);
  EXPECT_EQ(config.max_position, 4 * 262144);
  const ModelConfig plain = family_config("9B");
  for (std::size_t j = 0; j < 32; ++j) {
    const double ramp = std::clamp((static_cast<double>(j) - 14.0) / 8.0, 0.0, 1.0);
    const double expected = plain.inv_freq[j] * ((1.0 - ramp) + ramp / 4.0);
    EXPECT_NEAR(config.inv_freq[j], expected, expected * 1e-6) << j;
  }
}

TEST(Config, AppliesYarnOfAnOlderRopeScaling) {
  json document = family_json("QwQ-32B");
  document["max_position_embeddings"] = 32768;
  document["rope_scaling"] = {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32768}};
  const ModelConfig config = parse(document);
  EXPECT_NEAR(config.rope_scale, 1.138629, 1e-6);
  EXPECT_EQ(config.max_position, 131072);
  EXPECT_EQ(config.inv_freq.front(), 1.0F);
  const ModelConfig plain = family_config("QwQ-32B");
  EXPECT_NEAR(config.inv_freq.back(), plain.inv_freq.back() / 4.0F, plain.inv_freq.back() * 1e-6F);
}

struct BadValue {
  const char* size;
  const char* key;  // of text_config for Qwen3.5, "rope." for rope_parameters
  json value;
  const char* message;  // part of
};

class BadConfig : public testing::TestWithParam<BadValue> {};

TEST_P(BadConfig, NamesTheKeyTheValueAndWhatIsAccepted) {
  const BadValue& bad = GetParam();
  json document = family_json(bad.size);
  json& text = document.contains("text_config") ? document["text_config"] : document;
  const std::string key = bad.key;
  if (key.starts_with("rope.")) {
    text["rope_parameters"][key.substr(5)] = bad.value;
  } else {
    text[key] = bad.value;
  }
  const std::string name = key.starts_with("rope.") ? key.substr(5) : key;
  EXPECT_THAT(error_of(document), AllOf(HasSubstr(name + " is "), HasSubstr("accepted: "), HasSubstr(bad.message)));
}

INSTANTIATE_TEST_SUITE_P(
    Values, BadConfig,
    testing::Values(
        BadValue{"9B", "hidden_size", 0, "is 0; accepted: an integer from 1"},
        BadValue{"9B", "hidden_size", "4096", "is \"4096\""}, BadValue{"9B", "hidden_size", 4096.5, "4096.5"},
        BadValue{"9B", "hidden_size", 18446744073709551615U, "18446744073709551615"},
        BadValue{"9B", "hidden_size", {1, 2}, "a list of 2 items"},
        BadValue{"9B", "num_attention_heads", -16, "is -16"},
        BadValue{"9B", "num_key_value_heads", 5, "a divisor of num_attention_heads, which is 16"},
        BadValue{"9B", "head_dim", 0, "accepted: an integer"},
        BadValue{"9B", "linear_num_value_heads", 24, "a multiple of linear_num_key_heads, which is 16"},
        BadValue{"9B", "linear_conv_kernel_dim", 1, "from 2"}, BadValue{"9B", "num_hidden_layers", 0, "is 0"},
        BadValue{"9B", "num_hidden_layers", 1000000000, "to 4096"},
        BadValue{"9B", "layer_types", {"full_attention"}, "a list of 32 strings"},
        BadValue{"9B", "layer_types", std::vector<std::string>(32, "mamba"), "\"linear_attention\" or"},
        BadValue{"9B", "intermediate_size", 0, "is 0"}, BadValue{"9B", "vocab_size", 0, "is 0"},
        BadValue{"9B", "rms_norm_eps", 0.0, "a positive number"},
        BadValue{"9B", "rms_norm_eps", "small", "a positive number"}, BadValue{"9B", "hidden_act", "gelu", "\"silu\""},
        BadValue{"9B", "attention_bias", true, "accepted: false"},
        BadValue{"9B", "attn_output_gate", 1, "true or false"},
        BadValue{"9B", "tie_word_embeddings", "no", "true or false"},
        BadValue{"9B", "model_type", "llama", "qwen3_5_moe"},
        BadValue{"9B", "output_gate_type", "sigmoid", "\"swish\""},
        BadValue{"9B", "rope.rope_type", "longrope", "\"default\" or \"yarn\""},
        BadValue{"9B", "rope.rope_theta", 0, "a positive number"}, BadValue{"9B", "rope.rope_theta", 0.5, "above 1"},
        BadValue{"9B", "rope.partial_rotary_factor", 1.5, "256 channels"},
        BadValue{"9B", "rope.partial_rotary_factor", 0.25 / 64, "256 channels"},
        BadValue{"9B", "rope.mrope_section", {11, 11, 11}, "half the rotary dimension, 32"},
        BadValue{"35B-A3B", "num_experts", 0, "is 0"}, BadValue{"35B-A3B", "num_experts_per_tok", 257, "from 1 to 256"},
        BadValue{"35B-A3B", "moe_intermediate_size", -1, "is -1"},
        BadValue{"35B-A3B", "norm_topk_prob", false, "accepted: true"},
        BadValue{"35B-A3B", "mlp_only_layers", {0}, "an empty list"},
        BadValue{"35B-A3B", "decoder_sparse_step", 2, "from 1 to 1"},
        BadValue{"QwQ-32B", "num_attention_heads", 24, "a divisor of hidden_size, which is 5120"},
        BadValue{"QwQ-32B", "use_sliding_window", true, "accepted: false"},
        BadValue{"QwQ-32B", "layer_types", std::vector<std::string>(64, "linear_attention"), "qwen2"}));

TEST(Config, NamesAMissingKey) {
  json document = family_json("9B");
  document["text_config"].erase("hidden_size");
  EXPECT_THAT(error_of(document), HasSubstr("hidden_size is missing; accepted:"));
}

TEST(Config, RefusesAYarnWithoutAFactor) {
  json document = family_json("9B");
  document["text_config"]["rope_parameters"]["rope_type"] = "yarn";
  EXPECT_THAT(error_of(document), HasSubstr("factor is missing"));
}

TEST(Config, RefusesQuantisedCheckpointsWhereverTheySayIt) {
  json outer = family_json("9B");
  outer["quantization_config"] = {{"quant_method", "fp8"}};
  EXPECT_THAT(error_of(outer), AllOf(HasSubstr("quantization_config"), HasSubstr("unquantised")));
  json inner = family_json("9B");
  inner["text_config"]["quantization_config"] = {{"quant_method", "fp8"}};
  EXPECT_THAT(error_of(inner), HasSubstr("quantization_config"));
}

TEST(Config, RefusesWhatIsNotAJsonObject) {
  for (const char* text : {"", "[]", "{", "{\"hidden_size\": 1e999}", "\xff\xfe"}) {
    EXPECT_THROW(parse_model_config(text, "config.json"), Error) << text;
  }
}

TEST(Config, SurvivesDeepNesting) {
  const std::string deep = "{\"hidden_size\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_THROW(parse_model_config(deep, "config.json"), Error);
}

TEST(Config, SaysThatTheFileIsNotThere) {
  const TempDirectory directory;
  const Fault fault = fault_of([&] { load_model_config(directory.path()); });
  EXPECT_EQ(fault.code, Code::kNotFound);
  EXPECT_THAT(fault.message, HasSubstr("config.json"));
}

}  // namespace
}  // namespace millrace::engine::test
