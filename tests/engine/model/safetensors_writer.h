// Writes checkpoints for tests, the valid ones and the broken ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::engine::test {

struct TensorToWrite {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::string bytes;
};

// The content of a safetensors file.
std::string safetensors_bytes(const std::vector<TensorToWrite>& tensors);

// Header length, header and data as given, consistent or not.
std::string safetensors_bytes(const std::string& header, const std::string& data);

// `count` values of the generator that tests/golden/README.md describes, stored as `dtype`.
std::string generated_bytes(std::uint64_t seed, const std::string& name, std::int64_t count, const std::string& dtype,
                            float offset, float scale);

}  // namespace millrace::engine::test
