// Where every expert lives: a table from (layer, physical slot) to logical expert. Pure data and pure functions; the
// operator and the agents exchange it, the engine replaces it between two steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::engine {

struct ExpertPlacement {
  std::int64_t number = 0;  // increases with every change; 0 is the initial linear placement
  std::int32_t num_experts = 0;
  std::int32_t ep_size = 1;         // ranks (expert-parallel) that share the experts of a layer
  std::int32_t slots_per_rank = 0;  // at least ceil(num_experts / ep_size); the surplus holds replicas
  // [layer][ep_rank * slots_per_rank + slot] = logical expert.
  std::vector<std::vector<std::int32_t>> slots;

  bool operator==(const ExpertPlacement&) const = default;
};

// Expert e on rank e / (E / ep) in order; surplus slots replicate experts 0, 1, ... of the rank.
ExpertPlacement linear_placement(std::int32_t num_layers, std::int32_t num_experts, std::int32_t ep_size,
                                 std::int32_t slots_per_rank);

// Empty when `placement` can serve a model of these sizes; otherwise the first fault in words: a missing expert, an id
// out of range, a wrong number of layers or slots.
std::string validate_placement(const ExpertPlacement& placement, std::int32_t num_layers, std::int32_t num_experts,
                               std::int32_t ep_size, std::int32_t slots_per_rank);

}  // namespace millrace::engine
