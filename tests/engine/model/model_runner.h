// Runs one rank of a model the way the engine's runtime does, without scheduling: sequences have fixed blocks and
// slots.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/model/model.h"

namespace millrace::engine::test {

using RotaryPosition = std::array<std::int32_t, 3>;  // time, height, width

// New tokens of one sequence in one step.
struct Chunk {
  int seq = 0;
  std::vector<TokenId> tokens;
  bool all_logits = false;  // else of the last token only
  bool no_logits = false;
  std::vector<RotaryPosition> positions = {};  // one per token; empty: the places in the sequence, as for text
};

using Row = std::vector<float>;

struct RunnerOptions {
  RankLayout layout;
  std::int64_t max_tokens = 256;
  std::int32_t redundant_expert_slots = 0;
  std::int64_t max_tokens_counted = ModelOptions{}.max_tokens_counted;
  std::int32_t sequences = 4;
  std::int32_t blocks_per_sequence = 32;
  std::int32_t block_size = 16;
  std::string isa;  // empty: the best of this machine
};

class ModelRunner {
 public:
  ModelRunner(const std::filesystem::path& directory, const RunnerOptions& options, Comm& comm);
  ModelRunner(const ModelConfig& config, std::uint64_t seed, const RunnerOptions& options, Comm& comm);

  // One step. Logits of the wanted rows in the order of the chunks; on rank 0, empty elsewhere.
  std::vector<Row> step(const std::vector<Chunk>& chunks);
  // Copies state slot and KV of sequence `from` as `to` at the beginning of the next step.
  void copy_sequence(int from, int to);
  // Forgets a sequence: its next step starts from nothing.
  void restart(int seq) { context_[seq] = 0; }

  // Logits after the whole prompt in one step, of all positions when asked.
  std::vector<Row> prefill(int seq, const std::vector<TokenId>& tokens, bool all_logits = false);
  // Greedy tokens after logits `row`; all ranks get rank 0's choice.
  std::vector<TokenId> greedy(int seq, Row row, int count);

  Model& model() { return *model_; }
  Backend& backend() { return *backend_; }
  StateCache* states() { return states_.get(); }

 private:
  ModelOptions model_options() const;
  void allocate_caches();
  std::int32_t block_of(int seq, std::int32_t index) const { return seq * options_.blocks_per_sequence + index; }
  void add_chunk(const Chunk& chunk, StepInputs& inputs);
  TokenId agree(TokenId choice);

  RunnerOptions options_;
  Comm& comm_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<KvCache> kv_;
  std::unique_ptr<StateCache> states_;
  std::map<int, std::int32_t> context_;
  std::map<int, int> kv_of_;  // sequences that go on with another's blocks
  std::vector<std::pair<std::int32_t, std::int32_t>> slot_copies_;
};

TokenId arg_max(const Row& row);
float max_difference(std::span<const float> a, std::span<const float> b);
float max_magnitude(std::span<const float> a);

}  // namespace millrace::engine::test
