#include "engine/model/shard.h"

#include <algorithm>

namespace millrace::engine {
namespace {

Range share(std::int64_t total, int part, int parts) {
  const std::int64_t size = total / parts;
  return {part * size, size};
}

Range kv_rows(const ModelConfig& config, const RankLayout& layout) {
  const std::int64_t heads = local_kv_heads(config, layout.size);
  const std::int64_t first = layout.rank * config.kv_heads / layout.size;
  return {first * config.head_dim, heads * config.head_dim};
}

std::vector<Range> delta_sections(const ModelConfig& config, const RankLayout& layout) {
  const std::int64_t keys = config.gdn_key_heads * config.gdn_key_dim;
  const std::int64_t values = config.gdn_value_heads * config.gdn_value_dim;
  const Range key = share(keys, layout.rank, layout.size);
  const Range value = share(values, layout.rank, layout.size);
  return {key, {keys + key.begin, key.count}, {2 * keys + value.begin, value.count}};
}

Range vocab_rows(const ModelConfig& config, const RankLayout& layout) {
  const std::int64_t size = vocab_share(config, layout.size);
  const std::int64_t begin = std::min(config.vocab, layout.rank * size);
  return {begin, std::min(size, config.vocab - begin)};
}

std::vector<Range> gate_up_rows(const ModelConfig& config, const RankLayout& layout,
                                std::span<const std::int32_t> experts) {
  const Range width = expert_width(config, layout);
  const std::int64_t intermediate = config.moe.intermediate;
  std::vector<Range> rows;
  for (const std::int32_t expert : experts) {
    const std::int64_t gate = expert * 2 * intermediate;
    rows.push_back({gate + width.begin, width.count});
    rows.push_back({gate + intermediate + width.begin, width.count});
  }
  return rows;
}

std::vector<Range> down_rows(const ModelConfig& config, std::span<const std::int32_t> experts) {
  std::vector<Range> rows;
  for (const std::int32_t expert : experts) rows.push_back({expert * config.hidden, config.hidden});
  return rows;
}

}  // namespace

std::int64_t vocab_share(const ModelConfig& config, int size) {
  return (config.vocab + size - 1) / size;
}

std::int64_t local_kv_heads(const ModelConfig& config, int size) {
  return std::max<std::int64_t>(1, config.kv_heads / size);
}

Range expert_width(const ModelConfig& config, const RankLayout& layout) {
  return share(config.moe.intermediate, layout.expert_shard(), layout.expert_shards());
}

std::vector<std::int32_t> experts_of_rank(const ExpertPlacement& placement, std::int64_t layer, int ep_rank) {
  const auto& row = placement.slots[static_cast<std::size_t>(layer)];
  const auto begin = row.begin() + std::ptrdiff_t{ep_rank} * placement.slots_per_rank;
  std::vector<std::int32_t> experts(begin, begin + placement.slots_per_rank);
  std::sort(experts.begin(), experts.end());
  experts.erase(std::unique(experts.begin(), experts.end()), experts.end());
  return experts;
}

Shard shard_of(const TensorSpec& spec, const ModelConfig& config, const RankLayout& layout,
               std::span<const std::int32_t> experts) {
  const std::int64_t rows = matrix_rows(spec);
  const Range all_columns{0, matrix_cols(spec)};
  switch (spec.split) {
    case Split::kReplicate:
      return {{{0, rows}}, all_columns};
    case Split::kRows:
      return {{share(rows, layout.rank, layout.size)}, all_columns};
    case Split::kColumns:
      return {{{0, rows}}, share(all_columns.count, layout.rank, layout.size)};
    case Split::kVocabRows:
      return {{vocab_rows(config, layout)}, all_columns};
    case Split::kKvRows:
      return {{kv_rows(config, layout)}, all_columns};
    case Split::kDeltaSections:
      return {delta_sections(config, layout), all_columns};
    case Split::kExpertGateUp:
      return {gate_up_rows(config, layout, experts), all_columns};
    case Split::kExpertDown:
      return {down_rows(config, experts), expert_width(config, layout)};
  }
  return {};
}

}  // namespace millrace::engine
