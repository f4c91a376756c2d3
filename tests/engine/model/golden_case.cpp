#include "tests/engine/model/golden_case.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

#include "tests/paths.h"

namespace millrace::engine::test {
namespace {

using nlohmann::json;

std::filesystem::path golden_folder() {
  return std::filesystem::path(MILLRACE_SOURCE_DIR) / "tests" / "golden";
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_file(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

}  // namespace

GoldenCase::GoldenCase(const std::string& name) : header_(json::parse(read_file(golden_folder() / (name + ".json")))) {
  const std::string bytes = read_file(golden_folder() / (name + ".bin"));
  values_.resize(bytes.size() / sizeof(float));
  std::memcpy(values_.data(), bytes.data(), values_.size() * sizeof(float));
  for (const json& entry : header_.at("prompts")) {
    prompts_.push_back({entry.at("tokens"), entry.at("logit_positions"), array(entry.at("logits")), entry.at("greedy"),
                        entry.at("greedy_margins")});
  }
}

std::vector<std::string> GoldenCase::names() {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(golden_folder())) {
    if (file.path().extension() == ".bin") names.push_back(file.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::span<const float> GoldenCase::array(const std::string& name) const {
  std::size_t count = 1;
  for (const std::int64_t size : array_shape(name)) count *= static_cast<std::size_t>(size);
  return std::span(values_).subspan(header_.at("arrays").at(name).at("offset"), count);
}

std::vector<std::int64_t> GoldenCase::array_shape(const std::string& name) const {
  return header_.at("arrays").at(name).at("shape");
}

std::vector<TensorToWrite> GoldenCase::tensors() const {
  std::vector<TensorToWrite> tensors;
  for (const json& spec : header_.at("tensors")) {
    TensorToWrite tensor{spec.at("name"), spec.at("dtype"), spec.at("shape"), ""};
    std::int64_t count = 1;
    for (const std::int64_t size : tensor.shape) count *= size;
    tensor.bytes =
        generated_bytes(header_.at("seed"), tensor.name, count, tensor.dtype, spec.at("offset"), spec.at("scale"));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void GoldenCase::write_checkpoint(const std::filesystem::path& directory, bool sharded) const {
  write_file(directory / "config.json", header_.at("config").dump());
  const std::vector<TensorToWrite> tensors = this->tensors();
  if (!sharded) return write_file(directory / "model.safetensors", safetensors_bytes(tensors));
  const auto middle = tensors.begin() + static_cast<std::ptrdiff_t>(tensors.size() / 2);
  const std::string names[2] = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"};
  json map = json::object();
  for (auto tensor = tensors.begin(); tensor != tensors.end(); ++tensor)
    map[tensor->name] = names[tensor < middle ? 0 : 1];
  write_file(directory / names[0], safetensors_bytes(std::vector<TensorToWrite>(tensors.begin(), middle)));
  write_file(directory / names[1], safetensors_bytes(std::vector<TensorToWrite>(middle, tensors.end())));
  write_file(directory / "model.safetensors.index.json", json{{"weight_map", map}}.dump());
}

}  // namespace millrace::engine::test
