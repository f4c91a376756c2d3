// Checkpoint files: whatever the bytes, the parser gives tensors that lie inside the file and add up to it, or an error
// that says data loss.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "common/error.h"
#include "engine/model/safetensors.h"
#include "tests/fuzz/fuzz_check.h"

namespace {

using millrace::common::Code;
using millrace::common::Error;
using millrace::fuzz::check;

void read_file(std::span<const std::byte> file) {
  std::size_t total = 0;
  for (const auto& [name, tensor] : millrace::engine::parse_safetensors(file, "fuzz")) {
    const auto* begin = tensor.bytes.data();
    check(begin >= file.data() && begin + tensor.bytes.size() <= file.data() + file.size(), "tensors lie in the file");
    total += tensor.bytes.size();
  }
  check(total <= file.size(), "tensors do not overlap");
}

void read_index(std::string text) {
  for (const auto& [tensor, file] : millrace::engine::parse_safetensors_index(text, "fuzz")) {
    check(!file.empty() && file.find('/') == std::string::npos, "files stay in the directory");
  }
}

// Runs `parse`; the only way out besides success is the documented error.
template <typename Parse>
void allow_data_loss(Parse parse) {
  try {
    parse();
  } catch (const Error& error) {
    check(error.code() == Code::kDataLoss, "the error says data loss");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  allow_data_loss([&] { read_file(std::as_bytes(std::span(data, size))); });
  allow_data_loss([&] { read_index(std::string(reinterpret_cast<const char*>(data), size)); });
  return 0;
}
