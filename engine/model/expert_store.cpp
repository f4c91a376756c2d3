#include "engine/model/expert_store.h"

#include <algorithm>
#include <cassert>

#include "common/error.h"
#include "engine/model/shard.h"

namespace millrace::engine {
namespace {

using common::Code;
using common::Error;

constexpr std::int32_t kSpareShare = 8;  // one spare slot for this many slots

bool holds(const std::vector<std::int32_t>& list, std::int32_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

HostMatrix rows_of(const HostMatrix& whole, const Range& range) {
  const auto offset = static_cast<std::size_t>(range.begin * whole.stride) * size_of(whole.dtype);
  return {static_cast<const std::byte*>(whole.data) + offset, whole.dtype, range.count, whole.cols, whole.stride};
}

HostMatrix columns_of(const HostMatrix& whole, const Range& range) {
  const auto offset = static_cast<std::size_t>(range.begin) * size_of(whole.dtype);
  return {static_cast<const std::byte*>(whole.data) + offset, whole.dtype, whole.rows, range.count, whole.stride};
}

std::int32_t least_slots(const ModelConfig& config, const RankLayout& layout) {
  return static_cast<std::int32_t>((config.moe.num_experts + layout.expert_parallel - 1) / layout.expert_parallel);
}

std::int64_t bytes_of(const HostMatrix& matrix) {
  return matrix.rows * matrix.cols * static_cast<std::int64_t>(size_of(matrix.dtype));
}

std::int64_t bytes_of(const ExpertWeight& weight) {
  return bytes_of(weight.gate.matrix) + bytes_of(weight.up.matrix) + bytes_of(weight.down.matrix);
}

}  // namespace

ExpertStore::ExpertStore(const WeightSource& source, const ModelConfig& config, const RankLayout& layout,
                         std::int32_t redundant_slots, Backend& backend, const std::function<void()>& on_expert)
    : source_(source), config_(config), layout_(layout), backend_(backend) {
  const std::int32_t slots = least_slots(config, layout) + redundant_slots;
  // A single expert rank holds everything and never needs a spare slot.
  expert_bytes_ = bytes_of(source.expert(0, 0));
  physical_slots_ = layout.expert_parallel == 1 ? static_cast<std::int32_t>(config.moe.num_experts)
                                                : slots + (slots + kSpareShare - 1) / kSpareShare;
  placement_ = linear_placement(static_cast<std::int32_t>(config.num_layers()),
                                static_cast<std::int32_t>(config.moe.num_experts), layout.expert_parallel, slots);
  for (std::int64_t index = 0; index < config.num_layers(); ++index) {
    Layer& layer = layers_.emplace_back(allocate_layer());
    std::int32_t slot = 0;
    for (const std::int32_t expert : experts_of_rank(placement_, index, layout.expert_rank())) {
      read_into(layer, index, slot++, expert);
      on_expert();
    }
  }
  build_all_maps();
}

ExpertMap ExpertStore::map(std::int64_t layer) const {
  const Maps& maps = maps_[static_cast<std::size_t>(layer)];
  return {maps.slots.view, maps.count.view};
}

std::size_t ExpertStore::bytes() const {
  std::size_t total = 0;
  for (const Layer& layer : layers_) total += layer.packed->bytes();
  return total;
}

ExpertStore::Layer ExpertStore::allocate_layer() const {
  const ExpertShape shape{physical_slots_, config_.hidden, expert_width(config_, layout_).count};
  return {backend_.allocate_experts(shape),
          std::vector<std::int32_t>(static_cast<std::size_t>(physical_slots_), kEmpty)};
}

void ExpertStore::read_into(Layer& layer, std::int64_t index, std::int32_t slot, std::int32_t expert) {
  const Range width = expert_width(config_, layout_);
  const ExpertWeight weight = source_.expert(index, expert);
  std::int32_t& content = layer.expert_in[static_cast<std::size_t>(slot)];
  content = kEmpty;
  backend_.pack_expert(*layer.packed, slot, rows_of(weight.gate.matrix, width), rows_of(weight.up.matrix, width),
                       columns_of(weight.down.matrix, width));
  content = expert;
  ++experts_read_;
  source_.drop(weight.gate);
  source_.drop(weight.up);
  source_.drop(weight.down);
}

void ExpertStore::prepare(const ExpertPlacement& next, ExpertPace& pace) {
  const std::lock_guard lock(mutex_);
  const std::string fault = validate_placement(next, static_cast<std::int32_t>(config_.num_layers()),
                                               static_cast<std::int32_t>(config_.moe.num_experts), placement_.ep_size,
                                               placement_.slots_per_rank);
  if (!fault.empty()) throw Error(Code::kInvalidArgument, fault);
  prepared_.reset();
  Prepared prepared{next, {}};
  for (std::int64_t index = 0; index < config_.num_layers(); ++index) {
    prepared.replaced.push_back(prepare_layer(index, next, pace));
  }
  prepared_ = std::move(prepared);
}

// Makes the experts of `next` present in the layer, or returns a new layer that holds them.
std::optional<ExpertStore::Layer> ExpertStore::prepare_layer(std::int64_t index, const ExpertPlacement& next,
                                                             ExpertPace& pace) {
  Layer& layer = layers_[static_cast<std::size_t>(index)];
  const std::vector<std::int32_t> in_use = experts_of_rank(placement_, index, layout_.expert_rank());
  const std::vector<std::int32_t> needed = experts_of_rank(next, index, layout_.expert_rank());
  std::vector<std::int32_t> missing;
  for (const std::int32_t expert : needed) {
    if (!holds(layer.expert_in, expert)) missing.push_back(expert);
  }
  std::vector<std::int32_t> free;
  for (std::int32_t slot = 0; slot < physical_slots_; ++slot) {
    const std::int32_t expert = layer.expert_in[static_cast<std::size_t>(slot)];
    if (!holds(in_use, expert) && !holds(needed, expert)) free.push_back(slot);
  }
  if (missing.size() <= free.size()) {
    for (std::size_t i = 0; i < missing.size(); ++i) {
      pace.take(expert_bytes_ / layout_.expert_shards());
      read_into(layer, index, free[i], missing[i]);
    }
    return std::nullopt;
  }
  Layer fresh = allocate_layer();
  for (std::int32_t slot = 0; slot < static_cast<std::int32_t>(needed.size()); ++slot) {
    pace.take(expert_bytes_ / layout_.expert_shards());
    read_into(fresh, index, slot, needed[static_cast<std::size_t>(slot)]);
  }
  return fresh;
}

void ExpertStore::commit() {
  const std::lock_guard lock(mutex_);
  if (!prepared_) throw Error(Code::kInternal, "no expert placement was prepared");
  for (std::size_t index = 0; index < layers_.size(); ++index) {
    if (prepared_->replaced[index]) layers_[index] = std::move(*prepared_->replaced[index]);
  }
  placement_ = std::move(prepared_->placement);
  prepared_.reset();
  build_all_maps();
}

void ExpertStore::build_all_maps() {
  maps_.clear();
  for (std::int64_t index = 0; index < config_.num_layers(); ++index) maps_.push_back(build_maps(index));
}

// Every rank lists the replicas of an expert in the order of the placement's row and fills in its own slots.
ExpertStore::Maps ExpertStore::build_maps(std::int64_t index) const {
  const auto experts = static_cast<std::size_t>(config_.moe.num_experts);
  const std::vector<std::int32_t>& row = placement_.slots[static_cast<std::size_t>(index)];
  const std::vector<std::int32_t>& expert_in = layers_[static_cast<std::size_t>(index)].expert_in;
  std::vector<std::vector<std::int32_t>> replicas(experts);
  for (std::size_t position = 0; position < row.size(); ++position) {
    const std::int32_t expert = row[position];
    const bool mine = static_cast<int>(position) / placement_.slots_per_rank == layout_.expert_rank();
    const auto slot = std::find(expert_in.begin(), expert_in.end(), expert) - expert_in.begin();
    replicas[static_cast<std::size_t>(expert)].push_back(mine ? static_cast<std::int32_t>(slot) : -1);
  }
  std::size_t most = 0;
  for (const auto& list : replicas) most = std::max(most, list.size());
  std::vector<std::int32_t> slots(experts * most, -1);
  std::vector<std::int32_t> count(experts);
  for (std::size_t expert = 0; expert < experts; ++expert) {
    count[expert] = static_cast<std::int32_t>(replicas[expert].size());
    std::copy(replicas[expert].begin(), replicas[expert].end(),
              slots.begin() + static_cast<std::ptrdiff_t>(expert * most));
  }
  Maps maps{backend_.allocate(config_.moe.num_experts, static_cast<std::int64_t>(most), DType::kI32),
            backend_.allocate(config_.moe.num_experts, 1, DType::kI32)};
  backend_.upload(maps.slots.view, slots.data());
  backend_.upload(maps.count.view, count.data());
  return maps;
}

}  // namespace millrace::engine
