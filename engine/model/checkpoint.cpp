#include "engine/model/checkpoint.h"

#include <cstring>
#include <set>

#include "common/error.h"
#include "common/file.h"

namespace millrace::engine {
namespace {

using common::Code;
using common::Error;

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kWrappedPrefix = "model.language_model.";
constexpr const char* kPlainPrefix = "model.";

// Parts of the released checkpoints that the language model does not read.
bool is_known_other_part(const std::string& name) {
  return name.starts_with("mtp.") || name.starts_with("model.visual.") || name.starts_with("visual.") ||
         name.ends_with(".rotary_emb.inv_freq");
}

bool looks_quantised(const std::string& name) {
  for (const char* suffix : {"weight_scale_inv", "weight_scale", "input_scale", "qweight", "qzeros", "scales"}) {
    if (name.ends_with(suffix)) return true;
  }
  return false;
}

std::string expert_tensor(std::int64_t layer, std::int64_t expert, const char* projection) {
  return layer_tensor(layer, "mlp.experts." + std::to_string(expert) + "." + projection + ".weight");
}

// `rows` rows of the tensor from row `first`; memory that is not aligned for its type is copied.
HostWeight host_weight(const StoredTensor& stored, std::int64_t first, std::int64_t rows, std::int64_t cols) {
  const DType dtype = *stored.dtype;
  const std::size_t row_bytes = static_cast<std::size_t>(cols) * size_of(dtype);
  const std::span<const std::byte> bytes =
      stored.bytes.subspan(static_cast<std::size_t>(first) * row_bytes, static_cast<std::size_t>(rows) * row_bytes);
  HostWeight weight{{bytes.data(), dtype, rows, cols, cols}, {}};
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % size_of(dtype) == 0) return weight;
  auto copy = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
  weight.matrix.data = copy->data();
  weight.storage = copy;
  return weight;
}

}  // namespace

Checkpoint::Checkpoint(const std::filesystem::path& directory, const ModelConfig& config) : config_(config) {
  open_files(directory);
  prefix_ = tensors_.contains(std::string(kWrappedPrefix) + kEmbedName) ? kWrappedPrefix : kPlainPrefix;
  check_tensors();
  refuse_extra_tensors();
}

void Checkpoint::open_files(const std::filesystem::path& directory) {
  const std::filesystem::path index_path = directory / kIndexName;
  if (!std::filesystem::exists(index_path)) {
    if (!std::filesystem::exists(directory / kSingleName)) {
      throw Error(Code::kNotFound, directory.string() + " has neither " + kSingleName + " nor " + kIndexName);
    }
    return add_file(directory / kSingleName);
  }
  const auto index = parse_safetensors_index(common::read_file(index_path, "checkpoint index"), index_path.string());
  std::set<std::string> names;
  for (const auto& [tensor, file] : index) names.insert(file);
  std::string absent;
  for (const std::string& name : names) {
    if (!std::filesystem::exists(directory / name)) absent += (absent.empty() ? "" : ", ") + name;
  }
  if (!absent.empty()) {
    throw Error(Code::kNotFound, index_path.string() + " names files that are not in the directory: " + absent);
  }
  files_.reserve(names.size());  // tensors_ points into the files
  for (const std::string& name : names) add_file(directory / name);
  check_index(index, directory);
}

void Checkpoint::add_file(const std::filesystem::path& path) {
  files_.reserve(1);
  const SafetensorsFile& file = files_.emplace_back(path);
  paths_.push_back(path);
  for (const auto& [name, tensor] : file.tensors()) {
    if (!tensors_.try_emplace(name, Located{&tensor, false}).second) {
      throw Error(Code::kInvalidArgument, path.string() + ": tensor " + name + " is in another file too");
    }
  }
}

void Checkpoint::check_index(const std::unordered_map<std::string, std::string>& index,
                             const std::filesystem::path& directory) const {
  for (const auto& [tensor, file] : index) {
    if (!tensors_.contains(tensor)) {
      throw Error(Code::kNotFound, (directory / kIndexName).string() + " says that tensor " + tensor + " is in " +
                                       file + ", but it is not");
    }
  }
}

std::string Checkpoint::stored_name(const std::string& name) const {
  return name == kHeadName ? name : prefix_ + name;
}

const StoredTensor& Checkpoint::find(const std::string& name) const {
  return *tensors_.at(stored_name(name)).tensor;
}

bool Checkpoint::is_fused(std::int64_t layer) const {
  return tensors_.contains(stored_name(layer_tensor(layer, "mlp.experts.gate_up_proj")));
}

void Checkpoint::claim(const TensorSpec& spec) {
  const std::string name = stored_name(spec.name);
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    const std::string hint =
        spec.name == kHeadName ? "; without it config.json must say tie_word_embeddings true" : std::string();
    throw Error(Code::kNotFound, "tensor " + name + " is missing; expected shape " + shape_text(spec.shape) + hint);
  }
  const StoredTensor& tensor = *found->second.tensor;
  if (tensor.shape != spec.shape) {
    throw Error(Code::kInvalidArgument, "tensor " + name + " has shape " + shape_text(tensor.shape) +
                                            "; config.json makes it " + shape_text(spec.shape));
  }
  if (!tensor.dtype) {
    throw Error(Code::kInvalidArgument,
                "tensor " + name + " has type " + tensor.dtype_name + "; accepted: BF16, F16, F32 (unquantised)");
  }
  found->second.used = true;
}

void Checkpoint::check_experts(const TensorSpec& spec) {
  // "layers.<n>.mlp.experts.gate_up_proj": fused as released in BF16, or one tensor per expert and projection.
  if (tensors_.contains(stored_name(spec.name))) return claim(spec);
  const std::string base = spec.name.substr(0, spec.name.rfind('.') + 1);
  const std::vector<std::int64_t> in_shape{config_.moe.intermediate, config_.hidden};
  const std::vector<std::int64_t> out_shape{config_.hidden, config_.moe.intermediate};
  if (!tensors_.contains(stored_name(base + "0.gate_proj.weight"))) return claim(spec);  // neither: name the fused one
  for (std::int64_t expert = 0; expert < spec.shape.front(); ++expert) {
    const std::string stem = base + std::to_string(expert) + ".";
    if (spec.split == Split::kExpertDown) {
      claim({stem + "down_proj.weight", out_shape});
    } else {
      claim({stem + "gate_proj.weight", in_shape});
      claim({stem + "up_proj.weight", in_shape});
    }
  }
}

void Checkpoint::check_tensors() {
  for (const TensorSpec& spec : model_tensors(config_)) {
    const bool experts = spec.split == Split::kExpertGateUp || spec.split == Split::kExpertDown;
    experts ? check_experts(spec) : claim(spec);
  }
  // A tied head that is stored all the same repeats the embedding.
  if (config_.tied_embeddings && tensors_.contains(kHeadName)) claim({kHeadName, {config_.vocab, config_.hidden}});
}

void Checkpoint::refuse_extra_tensors() const {
  for (const auto& [name, located] : tensors_) {
    if (located.used || is_known_other_part(name)) continue;
    if (looks_quantised(name)) {
      throw Error(Code::kInvalidArgument,
                  "tensor " + name + " belongs to a quantised checkpoint; accepted: unquantised BF16, F16 or F32");
    }
    throw Error(Code::kInvalidArgument, "tensor " + name + " of shape " + shape_text(located.tensor->shape) +
                                            " is not part of the model that config.json describes");
  }
}

HostWeight Checkpoint::tensor(const TensorSpec& spec) const {
  return host_weight(find(spec.name), 0, matrix_rows(spec), matrix_cols(spec));
}

ExpertWeight Checkpoint::expert(std::int64_t layer, std::int32_t expert) const {
  const std::int64_t width = config_.moe.intermediate;
  const std::int64_t hidden = config_.hidden;
  if (!is_fused(layer)) {
    return {host_weight(find(expert_tensor(layer, expert, "gate_proj")), 0, width, hidden),
            host_weight(find(expert_tensor(layer, expert, "up_proj")), 0, width, hidden),
            host_weight(find(expert_tensor(layer, expert, "down_proj")), 0, hidden, width)};
  }
  const StoredTensor& gate_up = find(layer_tensor(layer, "mlp.experts.gate_up_proj"));
  const StoredTensor& down = find(layer_tensor(layer, "mlp.experts.down_proj"));
  return {host_weight(gate_up, 2 * width * expert, width, hidden),
          host_weight(gate_up, 2 * width * expert + width, width, hidden),
          host_weight(down, expert * hidden, hidden, width)};
}

void Checkpoint::drop(const HostWeight& weight) const {
  if (weight.storage) return;
  const HostMatrix& m = weight.matrix;
  const auto bytes = static_cast<std::size_t>(m.rows * m.stride) * size_of(m.dtype);
  drop_pages({static_cast<const std::byte*>(m.data), bytes});
}

}  // namespace millrace::engine
