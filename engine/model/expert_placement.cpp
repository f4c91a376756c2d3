#include "engine/expert_placement.h"

#include <cstddef>

namespace millrace::engine {
namespace {

std::string validate_layer(const std::vector<std::int32_t>& slots, std::int32_t num_experts, const std::string& where) {
  std::vector<bool> placed(static_cast<std::size_t>(num_experts), false);
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    const std::int32_t expert = slots[slot];
    if (expert < 0 || expert >= num_experts) {
      return where + " slot " + std::to_string(slot) + " holds expert " + std::to_string(expert) + "; accepted: 0 to " +
             std::to_string(num_experts - 1);
    }
    placed[static_cast<std::size_t>(expert)] = true;
  }
  for (std::int32_t expert = 0; expert < num_experts; ++expert) {
    if (!placed[static_cast<std::size_t>(expert)]) {
      return where + " has no slot for expert " + std::to_string(expert) + "; every expert needs at least one";
    }
  }
  return "";
}

std::string expect(const char* what, std::int64_t found, std::int64_t expected) {
  if (found == expected) return "";
  return std::string("placement has ") + what + " " + std::to_string(found) + "; the model runs with " +
         std::to_string(expected);
}

}  // namespace

ExpertPlacement linear_placement(std::int32_t num_layers, std::int32_t num_experts, std::int32_t ep_size,
                                 std::int32_t slots_per_rank) {
  std::vector<std::int32_t> row;
  for (std::int32_t rank = 0; rank < ep_size; ++rank) {
    // Shares differ by at most one when ep_size does not divide the experts.
    const auto first = static_cast<std::int32_t>(std::int64_t{rank} * num_experts / ep_size);
    const auto last = static_cast<std::int32_t>((std::int64_t{rank} + 1) * num_experts / ep_size);
    for (std::int32_t slot = 0; slot < slots_per_rank; ++slot) row.push_back(first + slot % (last - first));
  }
  ExpertPlacement placement;
  placement.num_experts = num_experts;
  placement.ep_size = ep_size;
  placement.slots_per_rank = slots_per_rank;
  placement.slots.assign(static_cast<std::size_t>(num_layers), row);
  return placement;
}

std::string validate_placement(const ExpertPlacement& placement, std::int32_t num_layers, std::int32_t num_experts,
                               std::int32_t ep_size, std::int32_t slots_per_rank) {
  for (const std::string& fault :
       {expect("num_experts", placement.num_experts, num_experts), expect("ep_size", placement.ep_size, ep_size),
        expect("slots_per_rank", placement.slots_per_rank, slots_per_rank),
        expect("layers", static_cast<std::int64_t>(placement.slots.size()), num_layers)}) {
    if (!fault.empty()) return fault;
  }
  const std::int64_t slots = std::int64_t{ep_size} * slots_per_rank;
  for (std::size_t layer = 0; layer < placement.slots.size(); ++layer) {
    const std::string where = "placement layer " + std::to_string(layer);
    const auto found = static_cast<std::int64_t>(placement.slots[layer].size());
    if (found != slots) {
      return where + " has " + std::to_string(found) + " slots; accepted: " + std::to_string(slots) +
             " (ep_size x slots_per_rank)";
    }
    std::string fault = validate_layer(placement.slots[layer], num_experts, where);
    if (!fault.empty()) return fault;
  }
  return "";
}

}  // namespace millrace::engine
