#include "engine/model/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/error.h"
#include "engine/model/host_floats.h"
#include "tests/engine/model/family.h"
#include "tests/engine/model/tiny.h"
#include "tests/support/fault.h"

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

Fault open_directory(const TempDirectory& directory, const json& config) {
  return fault_of([&] { const Checkpoint checkpoint(directory.path(), parse(config)); });
}

Fault open(const json& config, const std::vector<TensorToWrite>& tensors) {
  const TempDirectory directory;
  write_model(directory, config, tensors);
  return open_directory(directory, config);
}

TensorToWrite& find(std::vector<TensorToWrite>& tensors, const std::string& part) {
  return *std::find_if(tensors.begin(), tensors.end(),
                       [&](const auto& t) { return t.name.find(part) != std::string::npos; });
}

TEST(Checkpoint, AcceptsBothPrefixesBothExpertLayoutsAndAllTypes) {
  for (const char* prefix : {"model.", "model.language_model."}) {
    for (const char* dtype : {"BF16", "F16", "F32"}) {
      EXPECT_EQ(open(tiny_dense(), zero_tensors(tiny_dense(), prefix, dtype)).message, "accepted");
      const auto fused = zero_tensors(tiny_moe(), prefix, dtype);
      EXPECT_EQ(open(tiny_moe(), fused).message, "accepted");
      EXPECT_EQ(open(tiny_moe(), unfused(tiny_moe(), fused)).message, "accepted");
    }
  }
}

TEST(Checkpoint, SkipsTheVisionTowerAndTheMtpHead) {
  auto tensors = zero_tensors(tiny_dense(), "model.language_model.");
  tensors.push_back({"model.visual.patch_embed.proj.weight", "BF16", {2}, std::string(4, '\0')});
  tensors.push_back({"mtp.fc.weight", "I64", {1}, std::string(8, '\0')});
  EXPECT_EQ(open(tiny_dense(), tensors).message, "accepted");
}

TEST(Checkpoint, NamesEveryTensorThatIsMissing) {
  for (const auto& [config, tensors] :
       {std::pair(tiny_dense(), zero_tensors(tiny_dense())), std::pair(tiny_moe(), zero_tensors(tiny_moe())),
        std::pair(tiny_moe(), unfused(tiny_moe(), zero_tensors(tiny_moe())))}) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      auto rest = tensors;
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
      const Fault fault = open(config, rest);
      EXPECT_EQ(fault.code, Code::kNotFound) << tensors[i].name;
      // Without the first expert's first tensor the layout is not known and the fused name is as good.
      if (tensors[i].name.find("experts.0.gate_proj") != std::string::npos) continue;
      EXPECT_THAT(fault.message, HasSubstr("tensor " + tensors[i].name + " is missing; expected shape " +
                                           shape_text(tensors[i].shape)));
    }
  }
}

TEST(Checkpoint, NamesATensorOfTheWrongShapeWithBothShapes) {
  auto tensors = zero_tensors(tiny_dense());
  TensorToWrite& tensor = find(tensors, "q_proj");
  tensor.shape = {16, 128};
  const Fault fault = open(tiny_dense(), tensors);
  EXPECT_EQ(fault.code, Code::kInvalidArgument);
  EXPECT_THAT(fault.message, AllOf(HasSubstr("self_attn.q_proj.weight has shape [16, 128]"), HasSubstr("[128, 16]")));
}

TEST(Checkpoint, NamesATensorOfAnUnsupportedType) {
  auto tensors = zero_tensors(tiny_dense());
  TensorToWrite& tensor = find(tensors, "q_proj");
  tensor.dtype = "F8_E4M3";
  tensor.bytes.resize(tensor.bytes.size() / 2);
  const Fault fault = open(tiny_dense(), tensors);
  EXPECT_EQ(fault.code, Code::kInvalidArgument);
  EXPECT_THAT(fault.message, AllOf(HasSubstr("q_proj.weight has type F8_E4M3"), HasSubstr("BF16, F16, F32")));
}

TEST(Checkpoint, NamesATensorThatTheModelDoesNotHave) {
  auto tensors = zero_tensors(tiny_dense());
  tensors.push_back({"model.layers.2.mlp.up_proj.weight", "BF16", {1}, "xx"});
  const Fault fault = open(tiny_dense(), tensors);
  EXPECT_EQ(fault.code, Code::kInvalidArgument);
  EXPECT_THAT(fault.message, AllOf(HasSubstr("model.layers.2.mlp.up_proj.weight"), HasSubstr("not part of the model")));
}

TEST(Checkpoint, RefusesBothExpertLayoutsAtOnce) {
  auto tensors = zero_tensors(tiny_moe());
  tensors.push_back({"model.layers.0.mlp.experts.0.up_proj.weight", "BF16", {1}, "xx"});
  EXPECT_EQ(open(tiny_moe(), tensors).code, Code::kInvalidArgument);
}

TEST(Checkpoint, SaysThatScalesBelongToAQuantisedCheckpoint) {
  auto tensors = zero_tensors(tiny_dense());
  tensors.push_back({"model.layers.0.mlp.up_proj.weight_scale_inv", "F32", {1}, "xxxx"});
  EXPECT_THAT(open(tiny_dense(), tensors).message, AllOf(HasSubstr("weight_scale_inv"), HasSubstr("quantised")));
}

TEST(Checkpoint, ATiedHeadMayBeAbsentOrRepeatTheEmbedding) {
  json tied = tiny_dense();
  tied["tie_word_embeddings"] = true;
  EXPECT_EQ(open(tied, zero_tensors(tied)).message, "accepted");
  EXPECT_EQ(open(tied, zero_tensors(tiny_dense())).message, "accepted");
  auto tensors = zero_tensors(tiny_dense());
  find(tensors, "lm_head").shape = {16, 37};
  EXPECT_THAT(open(tied, tensors).message, HasSubstr("lm_head.weight has shape [16, 37]"));
  const Fault fault = open(tiny_dense(), zero_tensors(tied));
  EXPECT_THAT(fault.message, AllOf(HasSubstr("lm_head.weight is missing"), HasSubstr("tie_word_embeddings")));
}

TEST(Checkpoint, NamesFilesThatTheIndexPromises) {
  const TempDirectory directory;
  directory.write("model.safetensors.index.json",
                  R"({"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})");
  directory.write("model-1.safetensors", safetensors_bytes({{"a", "BF16", {1}, "xx"}}));
  const Fault fault = open_directory(directory, tiny_dense());
  EXPECT_EQ(fault.code, Code::kNotFound);
  EXPECT_THAT(fault.message, AllOf(HasSubstr("model-2.safetensors"), testing::Not(HasSubstr("model-1.safetensors"))));
}

TEST(Checkpoint, NamesATensorThatIsNotWhereTheIndexSays) {
  const TempDirectory directory;
  directory.write("model.safetensors.index.json", R"({"weight_map":{"a":"one","b":"one"}})");
  directory.write("one", safetensors_bytes({{"a", "BF16", {1}, "xx"}}));
  const Fault fault = open_directory(directory, tiny_dense());
  EXPECT_EQ(fault.code, Code::kNotFound);
  EXPECT_THAT(fault.message, HasSubstr("tensor b is in one, but it is not"));
}

TEST(Checkpoint, RefusesATensorThatTwoFilesHold) {
  const TempDirectory directory;
  directory.write("model.safetensors.index.json", R"({"weight_map":{"a":"one","b":"two"}})");
  directory.write("one", safetensors_bytes({{"a", "BF16", {1}, "xx"}}));
  directory.write("two", safetensors_bytes({{"a", "BF16", {1}, "xx"}, {"b", "BF16", {1}, "xx"}}));
  EXPECT_THAT(open_directory(directory, tiny_dense()).message, HasSubstr("tensor a is in another file too"));
}

TEST(Checkpoint, SaysWhichFilesItLookedFor) {
  const TempDirectory directory;
  const Fault fault = open_directory(directory, tiny_dense());
  EXPECT_EQ(fault.code, Code::kNotFound);
  EXPECT_THAT(fault.message, AllOf(HasSubstr("model.safetensors"), HasSubstr("model.safetensors.index.json")));
}

TEST(Checkpoint, RefusesATruncatedFile) {
  const TempDirectory directory;
  const std::string file = safetensors_bytes(zero_tensors(tiny_dense()));
  directory.write("model.safetensors", file.substr(0, file.size() - 1));
  EXPECT_EQ(open_directory(directory, tiny_dense()).code, Code::kDataLoss);
  directory.write("model.safetensors", "");
  EXPECT_EQ(open_directory(directory, tiny_dense()).code, Code::kDataLoss);
}

TEST(Checkpoint, GivesTheRowsOfAnExpertFromBothLayouts) {
  // Number the elements of the fused tensors, then store the same numbers one expert at a time.
  const ModelConfig config = parse(tiny_moe());
  const std::int64_t width = config.moe.intermediate;
  const auto numbered = [&](const std::string& name, std::int64_t count) {
    return generated_bytes(1, name, count, "F32", 0, 1);
  };
  auto fused = zero_tensors(tiny_moe(), "model.", "F32");
  for (TensorToWrite& tensor : fused) {
    if (tensor.name.find("experts.") != std::string::npos) {
      tensor.bytes = numbered(tensor.name, static_cast<std::int64_t>(tensor.bytes.size()) / 4);
    }
  }
  auto single = unfused(tiny_moe(), fused);
  const std::size_t part = static_cast<std::size_t>(width * config.hidden) * 4;
  const std::string stem = "layers.1.mlp.experts.";
  const std::string gate_up = find(fused, stem + "gate_up_proj").bytes;
  const std::string down = find(fused, stem + "down_proj").bytes;
  for (std::size_t e = 0; e < 4; ++e) {
    const std::string base = stem + std::to_string(e);
    find(single, base + ".gate_proj").bytes = gate_up.substr(2 * e * part, part);
    find(single, base + ".up_proj").bytes = gate_up.substr((2 * e + 1) * part, part);
    find(single, base + ".down_proj").bytes = down.substr(e * part, part);
  }
  const TempDirectory a, b;
  write_model(a, tiny_moe(), fused);
  write_model(b, tiny_moe(), single);
  const Checkpoint from_fused(a.path(), config);
  const Checkpoint from_single(b.path(), config);
  for (std::int32_t e = 0; e < 4; ++e) {
    const ExpertWeight x = from_fused.expert(1, e);
    const ExpertWeight y = from_single.expert(1, e);
    EXPECT_EQ(to_floats(x.gate.matrix), to_floats(y.gate.matrix));
    EXPECT_EQ(to_floats(x.up.matrix), to_floats(y.up.matrix));
    EXPECT_EQ(to_floats(x.down.matrix), to_floats(y.down.matrix));
    EXPECT_NE(to_floats(x.gate.matrix), to_floats(x.up.matrix));
  }
}

TEST(Checkpoint, ReadsFloatsThatAreNotAligned) {
  // A tensor of one byte per element before all others moves everything to odd addresses.
  auto tensors = zero_tensors(tiny_dense(), "model.", "F32");
  for (TensorToWrite& tensor : tensors) {
    tensor.bytes = generated_bytes(3, tensor.name, static_cast<std::int64_t>(tensor.bytes.size()) / 4, "F32", 0, 1);
  }
  const TempDirectory aligned, odd;
  write_model(aligned, tiny_dense(), tensors);
  tensors.insert(tensors.begin(), {"mtp.odd", "U8", {1}, "x"});
  write_model(odd, tiny_dense(), tensors);
  const ModelConfig config = parse(tiny_dense());
  const Checkpoint a(aligned.path(), config);
  const Checkpoint b(odd.path(), config);
  for (const TensorSpec& spec : model_tensors(config)) {
    const HostWeight weight = b.tensor(spec);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(weight.matrix.data) % 4, 0U);
    EXPECT_EQ(to_floats(weight.matrix), to_floats(a.tensor(spec).matrix)) << spec.name;
  }
}

TEST(HostFloats, ConvertsEveryHalfPrecisionNumber) {
  const auto value_of = [](std::uint16_t bits, DType dtype) { return to_floats({&bits, dtype, 1, 1, 1}).front(); };
  EXPECT_EQ(value_of(0x3C00, DType::kF16), 1.0F);
  EXPECT_EQ(value_of(0xC000, DType::kF16), -2.0F);
  EXPECT_EQ(value_of(0x0001, DType::kF16), 0x1p-24F);
  EXPECT_EQ(value_of(0x0400, DType::kF16), 0x1p-14F);
  EXPECT_EQ(value_of(0x7BFF, DType::kF16), 65504.0F);
  EXPECT_TRUE(std::isinf(value_of(0x7C00, DType::kF16)));
  EXPECT_TRUE(std::isnan(value_of(0x7E00, DType::kF16)));
  EXPECT_EQ(value_of(0x3F80, DType::kBF16), 1.0F);
  EXPECT_EQ(value_of(0xBFC0, DType::kBF16), -1.5F);
}

}  // namespace
}  // namespace millrace::engine::test
