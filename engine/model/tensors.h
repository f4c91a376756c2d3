// The tensors that a checkpoint of a model must hold: names, shapes and how ranks divide them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model/config.h"

namespace millrace::engine {

// How the ranks of a group divide a tensor, seen as a matrix (see matrix_rows). Specs: tensor parallel rules of the
// family.
enum class Split : std::uint8_t {
  kReplicate,
  kRows,           // equal contiguous shares of the rows: whole heads or intermediate channels
  kColumns,        // equal contiguous shares of the columns
  kVocabRows,      // contiguous rows, the last ranks may hold fewer
  kKvRows,         // rows by KV head; ranks share a head when there are more ranks than heads
  kDeltaSections,  // the q, k and v sections of the rows each divided by head
  kExpertGateUp,   // per expert: gate rows then up rows, each divided by width
  kExpertDown,     // per expert: columns divided by width
};

struct TensorSpec {
  std::string name;                 // below the prefix of the language model; "lm_head.weight" stands outside of it
  std::vector<std::int64_t> shape;  // as stored
  Split split = Split::kReplicate;
};

constexpr const char* kEmbedName = "embed_tokens.weight";
constexpr const char* kHeadName = "lm_head.weight";
constexpr const char* kFinalNormName = "norm.weight";

std::string layer_tensor(std::int64_t layer, const std::string& name);  // "layers.<layer>.<name>"

// All tensors of the language model without the MTP head, in order of use; the head only when it is not tied. Experts
// as fused tensors.
std::vector<TensorSpec> model_tensors(const ModelConfig& config);
std::vector<TensorSpec> layer_tensors(const ModelConfig& config, std::int64_t layer);

// A tensor as a matrix: [n] is (n, 1), [n, m] is (n, m), [n, 1, m] is (n, m), fused experts [e, n, m] are (e * n, m).
std::int64_t matrix_rows(const TensorSpec& spec);
std::int64_t matrix_cols(const TensorSpec& spec);

// Parameters of the language model, without the MTP head.
std::int64_t count_parameters(const ModelConfig& config);

}  // namespace millrace::engine
