#include "tests/engine/model/model_runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/backend/backend.h"

namespace millrace::engine::test {
namespace {

std::unique_ptr<Backend> make_backend(const std::string& isa) {
  BackendOptions options;
  options.threads = 1;
  options.isa = isa;
  return create_backend("cpu", options);
}

}  // namespace

ModelRunner::ModelRunner(const std::filesystem::path& directory, const RunnerOptions& options, Comm& comm)
    : options_(options), comm_(comm), backend_(make_backend(options.isa)) {
  model_ = load_model(directory, model_options(), *backend_, comm);
  allocate_caches();
}

ModelRunner::ModelRunner(const ModelConfig& config, std::uint64_t seed, const RunnerOptions& options, Comm& comm)
    : options_(options), comm_(comm), backend_(make_backend(options.isa)) {
  model_ = random_model(config, seed, model_options(), *backend_, comm);
  allocate_caches();
}

ModelOptions ModelRunner::model_options() const {
  ModelOptions options;
  options.layout = options_.layout;
  options.max_tokens = options_.max_tokens;
  options.max_logit_rows = options_.max_tokens;
  options.redundant_expert_slots = options_.redundant_expert_slots;
  options.max_tokens_counted = options_.max_tokens_counted;
  return options;
}

void ModelRunner::allocate_caches() {
  const std::int64_t blocks = std::int64_t{options_.sequences} * options_.blocks_per_sequence;
  kv_ = backend_->allocate_kv_cache(model_->kv_cache_shape(blocks, options_.block_size));
  if (model_->config().num_gdn_layers() > 0) {
    states_ = backend_->allocate_state_cache(model_->state_cache_shape(options_.sequences));
  }
}

void ModelRunner::add_chunk(const Chunk& chunk, StepInputs& inputs) {
  const std::int32_t context = context_[chunk.seq];
  for (std::size_t i = 0; i < chunk.tokens.size(); ++i) {
    if (!chunk.no_logits && (chunk.all_logits || i + 1 == chunk.tokens.size())) {
      inputs.logit_rows.push_back(static_cast<std::int32_t>(inputs.token_ids.size()));
    }
    inputs.token_ids.push_back(chunk.tokens[i]);
    const std::int32_t place = context + static_cast<std::int32_t>(i);
    const auto [time, height, width] =
        chunk.positions.empty() ? RotaryPosition{place, place, place} : chunk.positions[i];
    inputs.positions.push_back(time);
    inputs.plane_positions.insert(inputs.plane_positions.end(), {height, width});
  }
  inputs.row_begin.push_back(static_cast<std::int32_t>(inputs.token_ids.size()));
  inputs.context.push_back(context);
  const int home = kv_of_.contains(chunk.seq) ? kv_of_[chunk.seq] : chunk.seq;
  for (std::int32_t i = 0; i < options_.blocks_per_sequence; ++i) inputs.blocks.push_back(block_of(home, i));
  if (states_) inputs.slots.push_back(chunk.seq);
  context_[chunk.seq] = context + static_cast<std::int32_t>(chunk.tokens.size());
}

std::vector<Row> ModelRunner::step(const std::vector<Chunk>& chunks) {
  StepInputs inputs;
  inputs.row_begin.push_back(0);
  inputs.max_blocks = options_.blocks_per_sequence;
  inputs.slot_copies = std::move(slot_copies_);
  slot_copies_.clear();
  for (const Chunk& chunk : chunks) add_chunk(chunk, inputs);
  const bool text = std::ranges::all_of(chunks, [](const Chunk& chunk) { return chunk.positions.empty(); });
  if (text) inputs.plane_positions.clear();

  backend_->begin_step(inputs, states_.get());
  const Tensor logits = model_->forward(inputs, *kv_, states_.get());
  backend_->finish_step();
  std::vector<Row> rows;
  for (std::int64_t row = 0; row < logits.rows; ++row) {
    rows.emplace_back(static_cast<std::size_t>(logits.cols));
    backend_->download(logits.row_range(row, 1), rows.back().data());
  }
  return rows;
}

void ModelRunner::copy_sequence(int from, int to) {
  // The copy reads the original's blocks; tests continue only one of the two, or rewrite the same positions.
  kv_of_[to] = kv_of_.contains(from) ? kv_of_[from] : from;
  context_[to] = context_[from];
  if (states_) slot_copies_.emplace_back(from, to);
}

std::vector<Row> ModelRunner::prefill(int seq, const std::vector<TokenId>& tokens, bool all_logits) {
  return step({{seq, tokens, all_logits}});
}

TokenId ModelRunner::agree(TokenId choice) {
  std::vector<std::byte> message(sizeof(choice));
  std::memcpy(message.data(), &choice, sizeof(choice));
  comm_.broadcast(message, 0);
  std::memcpy(&choice, message.data(), sizeof(choice));
  return choice;
}

std::vector<TokenId> ModelRunner::greedy(int seq, Row row, int count) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) {
    tokens.push_back(agree(row.empty() ? 0 : arg_max(row)));
    const std::vector<Row> rows = prefill(seq, {tokens.back()});
    row = rows.empty() ? Row{} : rows.front();
  }
  return tokens;
}

TokenId arg_max(const Row& row) {
  return static_cast<TokenId>(std::max_element(row.begin(), row.end()) - row.begin());
}

float max_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return INFINITY;
  float result = 0.0F;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float difference = std::fabs(a[i] - b[i]);
    if (!(difference <= result)) result = difference;  // NaN is kept
  }
  return result;
}

float max_magnitude(std::span<const float> a) {
  float result = 0.0F;
  for (const float value : a) result = std::max(result, std::fabs(value));
  return result;
}

}  // namespace millrace::engine::test
