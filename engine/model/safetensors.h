// The safetensors container: 8 bytes of header length (little-endian), a JSON header, one byte buffer. The parser is
// pure, works on untrusted bytes and accepts only what is consistent: every tensor inside the buffer, of the size its
// shape says, no two overlapping, no byte without a tensor. Format: huggingface/safetensors, README and
// safetensors/src/tensor.rs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/backend/tensor.h"
#include "engine/model/mapped_file.h"

namespace millrace::engine {

struct StoredTensor {
  std::string dtype_name;      // as in the header, for example "BF16"
  std::optional<DType> dtype;  // empty: a type of the format that the engine does not read
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  // into the file; F32 is not necessarily aligned
};

using StoredTensors = std::unordered_map<std::string, StoredTensor>;

std::string shape_text(std::span<const std::int64_t> shape);  // "[2, 3]"

// Throws kDataLoss naming `source` and the tensor or the number that contradicts the others.
StoredTensors parse_safetensors(std::span<const std::byte> file, const std::string& source);

// The weight_map of model.safetensors.index.json: tensor name to file name. Throws kDataLoss. File names with a path
// are refused.
std::unordered_map<std::string, std::string> parse_safetensors_index(const std::string& json,
                                                                     const std::string& source);

// A mapped file and its tensors.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path)
      : file_(path), tensors_(parse_safetensors(file_.bytes(), path.string())) {}

  const StoredTensors& tensors() const { return tensors_; }

 private:
  MappedFile file_;
  StoredTensors tensors_;
};

}  // namespace millrace::engine
