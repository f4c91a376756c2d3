// A golden case of tests/golden: what transformers computed, and the checkpoint it computed it from.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "engine/types.h"
#include "tests/engine/model/safetensors_writer.h"

namespace millrace::engine::test {

struct GoldenPrompt {
  std::vector<TokenId> tokens;
  std::vector<std::int32_t> logit_positions;
  std::span<const float> logits;  // (logit_positions, vocab)
  std::vector<TokenId> greedy;
  std::vector<float> greedy_margins;
};

class GoldenCase {
 public:
  explicit GoldenCase(const std::string& name);

  static std::vector<std::string> names();

  // config.json and safetensors files, in two shards with an index when `sharded`.
  void write_checkpoint(const std::filesystem::path& directory, bool sharded) const;

  // The tensors of the checkpoint.
  std::vector<TensorToWrite> tensors() const;

  const nlohmann::json& header() const { return header_; }
  const std::vector<GoldenPrompt>& prompts() const { return prompts_; }
  std::span<const float> array(const std::string& name) const;
  std::vector<std::int64_t> array_shape(const std::string& name) const;

 private:
  nlohmann::json header_;
  std::vector<float> values_;
  std::vector<GoldenPrompt> prompts_;
};

// The prompt that carries the inner values (stream, experts, states).
constexpr std::size_t kStreamPrompt = 1;

}  // namespace millrace::engine::test
