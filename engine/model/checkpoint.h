// The safetensors files of a model directory, checked against its configuration: every tensor of the model is there
// once, with the expected shape and a type the engine reads, and nothing is there that the model does not have.
#pragma once

#include <filesystem>
#include <vector>

#include "engine/model/safetensors.h"
#include "engine/model/weight_source.h"

namespace millrace::engine {

class Checkpoint : public WeightSource {
 public:
  // Throws kNotFound (file or tensor absent), kInvalidArgument (extra, misshapen, unsupported type), kDataLoss (broken
  // file).
  Checkpoint(const std::filesystem::path& directory, const ModelConfig& config);

  HostWeight tensor(const TensorSpec& spec) const override;
  ExpertWeight expert(std::int64_t layer, std::int32_t expert) const override;
  void drop(const HostWeight& weight) const override;

  const std::vector<std::filesystem::path>& files() const { return paths_; }

 private:
  struct Located {
    const StoredTensor* tensor = nullptr;
    bool used = false;  // belongs to the model
  };

  void open_files(const std::filesystem::path& directory);
  void add_file(const std::filesystem::path& path);
  void check_index(const std::unordered_map<std::string, std::string>& index,
                   const std::filesystem::path& directory) const;
  void check_tensors();
  void check_experts(const TensorSpec& spec);
  void claim(const TensorSpec& spec);
  void refuse_extra_tensors() const;

  bool is_fused(std::int64_t layer) const;
  std::string stored_name(const std::string& name) const;  // with the prefix of this checkpoint
  const StoredTensor& find(const std::string& name) const;

  ModelConfig config_;
  std::string prefix_;  // "model.language_model." or "model."
  std::vector<std::filesystem::path> paths_;
  std::vector<SafetensorsFile> files_;
  std::unordered_map<std::string, Located> tensors_;  // of all files, by stored name
};

}  // namespace millrace::engine
