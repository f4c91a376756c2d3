#include "tests/engine/model/synthetic_weights.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <utility>

#include "engine/model/tensors.h"
#include "tests/engine/model/family.h"
#include "tests/engine/model/safetensors_writer.h"

namespace millrace::engine::test {
namespace {

const std::string kPrefix = "model.";

Row last_row(Backend& backend, const Tensor& tensor) {
  Row row(static_cast<std::size_t>(tensor.cols));
  backend.download(tensor.row_range(tensor.rows - 1, 1), row.data());
  return row;
}

}  // namespace

SyntheticWeights::SyntheticWeights(nlohmann::json config) : config_(std::move(config)) {
  for (const TensorSpec& spec : model_tensors(parse(config_))) {
    const auto count = static_cast<std::size_t>(matrix_rows(spec) * matrix_cols(spec));
    entries_[kPrefix + spec.name] = {spec.shape, std::vector<float>(count)};
  }
}

SyntheticWeights::Entry& SyntheticWeights::entry(const std::string& name) {
  return entries_.at(kPrefix + (name == kEmbedName ? name : layer_tensor(0, name)));
}

void SyntheticWeights::put(const std::string& name, std::int64_t row, std::int64_t col, float value) {
  Entry& tensor = entry(name);
  const std::int64_t cols = tensor.shape.size() == 1 ? 1 : tensor.shape.back();
  tensor.values.at(static_cast<std::size_t>(row * cols + col)) = value;
}

void SyntheticWeights::fill(const std::string& name, float value) {
  std::ranges::fill(entry(name).values, value);
}

void SyntheticWeights::write(const std::filesystem::path& directory) const {
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : entries_) {
    std::string bytes(tensor.values.size() * sizeof(float), '\0');
    std::memcpy(bytes.data(), tensor.values.data(), bytes.size());
    tensors.push_back({name, "F32", tensor.shape, std::move(bytes)});
  }
  std::ofstream(directory / "config.json") << config_.dump();
  std::ofstream(directory / "model.safetensors", std::ios::binary) << safetensors_bytes(tensors);
}

Row layer_output(ModelRunner& runner, const Chunk& chunk) {
  Row before;
  Row after;
  runner.model().set_layer_probe([&](std::int64_t layer, const Tensor& residual) {
    (layer < 0 ? before : after) = last_row(runner.backend(), residual);
  });
  runner.step({chunk});
  runner.model().set_layer_probe({});
  for (std::size_t i = 0; i < after.size(); ++i) after[i] -= before[i];
  return after;
}

}  // namespace millrace::engine::test
