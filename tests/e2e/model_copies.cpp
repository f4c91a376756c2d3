#include "tests/e2e/model_copies.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

namespace millrace::e2e {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string read(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

fs::path file_of(const fs::path& model, const std::string& tensor) {
  const Json index = Json::parse(read(model / "model.safetensors.index.json"));
  return model / index.at("weight_map").at(tensor).get<std::string>();
}

}  // namespace

void copy_model(const fs::path& from, const fs::path& to) {
  fs::create_directories(to);
  for (const auto& entry : fs::directory_iterator(from)) {
    if (entry.is_regular_file()) fs::copy_file(entry.path(), to / entry.path().filename());
  }
}

void reverse_rows(const fs::path& model, const std::string& tensor) {
  const fs::path file = file_of(model, tensor);
  std::string bytes = read(file);
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), sizeof header_size);
  const std::size_t begin = sizeof header_size + header_size;
  const Json stored = Json::parse(bytes.substr(sizeof header_size, header_size)).at(tensor);
  const auto first = stored["data_offsets"][0].get<std::size_t>();
  const auto last = stored["data_offsets"][1].get<std::size_t>();
  const auto rows = stored["shape"][0].get<std::size_t>();
  const std::size_t row = (last - first) / rows;
  char* data = bytes.data() + begin + first;
  for (std::size_t i = 0; i < rows / 2; ++i) {
    std::swap_ranges(data + i * row, data + (i + 1) * row, data + (rows - 1 - i) * row);
  }
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace millrace::e2e
