#include "engine/model/safetensors.h"

#include <algorithm>
#include <cstring>

#include "common/error.h"
#include "engine/model/json_object.h"

namespace millrace::engine {
namespace {

using nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeader = 100'000'000;  // the limit of the reference implementation
constexpr std::size_t kMaxDimensions = 16;
constexpr std::size_t kMaxName = 1024;

struct DTypeName {
  const char* name;
  std::uint64_t bytes;
  std::optional<DType> dtype;
};

constexpr DTypeName kDTypes[] = {
    {"BF16", 2, DType::kBF16},
    {"F16", 2, DType::kF16},
    {"F32", 4, DType::kF32},
    {"F64", 8, {}},
    {"F8_E4M3", 1, {}},
    {"F8_E5M2", 1, {}},
    {"F8_E8M0", 1, {}},
    {"BOOL", 1, {}},
    {"U8", 1, {}},
    {"I8", 1, {}},
    {"U16", 2, {}},
    {"I16", 2, {}},
    {"U32", 4, {}},
    {"I32", 4, {}},
    {"U64", 8, {}},
    {"I64", 8, {}},
};

[[noreturn]] void fail(const std::string& where, const std::string& fault) {
  throw common::Error(common::Code::kDataLoss, where + " " + fault);
}

std::uint64_t unsigned_of(const json& value, const std::string& where, const char* what) {
  if (!value.is_number_unsigned()) fail(where, std::string("has a ") + what + " that is not an unsigned integer");
  return value.get<std::uint64_t>();
}

const json& member(const json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end()) fail(where, std::string("has no ") + key);
  return *found;
}

const DTypeName& dtype_of(const json& tensor, const std::string& where) {
  const json& value = member(tensor, "dtype", where);
  if (!value.is_string()) fail(where, "has a dtype that is not a string");
  const std::string name = value.get<std::string>();
  for (const DTypeName& dtype : kDTypes) {
    if (name == dtype.name) return dtype;
  }
  fail(where, "has the unknown dtype " + value.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 40));
}

// Elements of the shape, refusing anything that does not fit a size.
std::uint64_t read_shape(const json& tensor, const std::string& where, std::vector<std::int64_t>& shape) {
  const json& sizes = member(tensor, "shape", where);
  if (!sizes.is_array() || sizes.size() > kMaxDimensions) fail(where, "has a shape that is not a short list");
  std::uint64_t elements = 1;
  for (const json& item : sizes) {
    const std::uint64_t size = unsigned_of(item, where, "size in shape");
    if (size > INT64_MAX || __builtin_mul_overflow(elements, size, &elements) || elements > INT64_MAX) {
      fail(where, "has a shape that overflows");
    }
    shape.push_back(static_cast<std::int64_t>(size));
  }
  return elements;
}

StoredTensor read_tensor(const json& entry, std::span<const std::byte> buffer, const std::string& where) {
  if (!entry.is_object()) fail(where, "is not described by an object");
  const DTypeName& dtype = dtype_of(entry, where);
  StoredTensor tensor{dtype.name, dtype.dtype, {}, {}};
  std::uint64_t bytes = read_shape(entry, where, tensor.shape);
  if (__builtin_mul_overflow(bytes, dtype.bytes, &bytes)) fail(where, "has a shape that overflows");

  const json& offsets = member(entry, "data_offsets", where);
  if (!offsets.is_array() || offsets.size() != 2) fail(where, "has data_offsets that are not two numbers");
  const std::uint64_t begin = unsigned_of(offsets[0], where, "begin in data_offsets");
  const std::uint64_t end = unsigned_of(offsets[1], where, "end in data_offsets");
  if (begin > end || end > buffer.size()) {
    fail(where, "has data_offsets [" + std::to_string(begin) + ", " + std::to_string(end) +
                    "], but the file holds bytes 0 to " + std::to_string(buffer.size()) +
                    " of data; is the file truncated?");
  }
  if (end - begin != bytes) {
    fail(where, "spans " + std::to_string(end - begin) + " bytes, but " + dtype.name + " of shape " +
                    shape_text(tensor.shape) + " needs " + std::to_string(bytes));
  }
  tensor.bytes = buffer.subspan(begin, end - begin);
  return tensor;
}

// Every byte of the buffer belongs to exactly one tensor.
void check_cover(const StoredTensors& tensors, std::span<const std::byte> buffer, const std::string& source) {
  std::vector<const StoredTensors::value_type*> order;
  for (const auto& item : tensors) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    const auto end = [](const auto* item) { return item->second.bytes.data() + item->second.bytes.size(); };
    return std::pair(a->second.bytes.data(), end(a)) < std::pair(b->second.bytes.data(), end(b));
  });
  const std::byte* expected = buffer.data();
  for (const auto* item : order) {
    const std::byte* begin = item->second.bytes.data();
    if (begin < expected) fail(source, "tensor " + item->first + " overlaps another tensor");
    if (begin > expected) {
      fail(source, "has " + std::to_string(begin - expected) + " unused bytes before tensor " + item->first);
    }
    expected += item->second.bytes.size();
  }
  const auto rest = buffer.data() + buffer.size() - expected;
  if (rest > 0) fail(source, "has " + std::to_string(rest) + " bytes behind the last tensor");
}

std::uint64_t header_length(std::span<const std::byte> file, const std::string& source) {
  if (file.size() < kLengthBytes) fail(source, "is shorter than the 8 bytes of a header length");
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) length |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
  if (length > kMaxHeader || length > file.size() - kLengthBytes) {
    fail(source, "says that its header has " + std::to_string(length) + " bytes, but " +
                     std::to_string(file.size() - kLengthBytes) + " follow (at most " + std::to_string(kMaxHeader) +
                     " are accepted); is the file truncated?");
  }
  return length;
}

}  // namespace

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

StoredTensors parse_safetensors(std::span<const std::byte> file, const std::string& source) {
  const std::uint64_t length = header_length(file, source);
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  const std::span<const std::byte> buffer = file.subspan(kLengthBytes + length);
  const json header = parse_json_object(text, source + " (header)");
  StoredTensors tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    if (name.size() > kMaxName) fail(source, "has a tensor name of " + std::to_string(name.size()) + " bytes");
    tensors.emplace(name, read_tensor(entry, buffer, source + ": tensor " + name));
  }
  check_cover(tensors, buffer, source);
  return tensors;
}

std::unordered_map<std::string, std::string> parse_safetensors_index(const std::string& text,
                                                                     const std::string& source) {
  const json index = parse_json_object(text, source);
  const json& map = member(index, "weight_map", source);
  if (!map.is_object()) fail(source, "has a weight_map that is not an object");
  std::unordered_map<std::string, std::string> files;
  for (const auto& [tensor, file] : map.items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (name.empty() || name.find('/') != std::string::npos || name.find('\0') != std::string::npos || name == "..") {
      fail(source, "maps tensor " + tensor + " to something that is not the name of a file beside it");
    }
    files.emplace(tensor, name);
  }
  return files;
}

}  // namespace millrace::engine
