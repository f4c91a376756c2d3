// spec.experts: how the experts of a group are kept balanced over its ranks.
#pragma once

#include <cstdint>

#include "operator/api/field_reader.h"

namespace millrace::controller {

struct ExpertsSpec {
  bool move = true;  // mode Auto; Fixed: slots are reserved, and nothing moves
  std::int32_t redundant_slots_per_rank = 0;
  std::int32_t interval_seconds = 60;
  std::int32_t min_improvement_percent = 5;
  std::int64_t max_bytes_per_second = std::int64_t{256} << 20;  // of a rank
};

// `expert_parallel`: ranks over which experts are spread.
void read_experts(FieldReader& fields, std::int32_t expert_parallel, ExpertsSpec& experts);

}  // namespace millrace::controller
