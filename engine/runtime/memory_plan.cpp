#include "engine/runtime/memory_plan.h"

#include <algorithm>

#include "common/error.h"

namespace millrace::engine {
namespace {

using common::Code;
using common::Error;

std::int64_t blocks_for(const MemoryDemand& demand, std::int64_t tokens) {
  return (tokens + demand.block_size - 1) / demand.block_size;
}

// The longest context whose blocks fit beside one state slot.
std::int64_t longest_context(const MemoryDemand& demand) {
  if (demand.block_bytes == 0) return demand.model_max_len;
  const std::int64_t left = demand.budget_bytes - demand.slot_bytes;
  return std::min(demand.model_max_len, left / demand.block_bytes * demand.block_size);
}

std::int64_t choose_max_len(const MemoryDemand& demand) {
  if (demand.requested_max_len > demand.model_max_len) {
    throw Error(Code::kInvalidArgument, "max_model_len is " + std::to_string(demand.requested_max_len) +
                                            ", but the model supports " + std::to_string(demand.model_max_len) +
                                            "; use that or less");
  }
  const std::int64_t fits = longest_context(demand);
  const std::int64_t wanted = demand.requested_max_len > 0 ? demand.requested_max_len : std::max<std::int64_t>(fits, 1);
  if (demand.budget_bytes < demand.slot_bytes || fits < wanted) {
    const std::int64_t need = demand.slot_bytes + blocks_for(demand, wanted) * demand.block_bytes;
    throw Error(Code::kResourceExhausted, "cache_bytes is " + std::to_string(demand.budget_bytes) +
                                              ", but one sequence of " + std::to_string(wanted) + " tokens needs " +
                                              std::to_string(need) +
                                              "; raise cache_bytes or set max_model_len to at most " +
                                              std::to_string(std::max<std::int64_t>(fits, 0)));
  }
  return wanted;
}

}  // namespace

MemoryPlan plan_memory(const MemoryDemand& demand) {
  MemoryPlan plan;
  plan.max_model_len = choose_max_len(demand);
  plan.max_num_seqs = demand.max_num_seqs;
  const std::int64_t one_sequence = blocks_for(demand, plan.max_model_len);
  if (demand.slot_bytes > 0) {
    const std::int64_t by_half = demand.budget_bytes / 2 / demand.slot_bytes;
    const std::int64_t beside_blocks = (demand.budget_bytes - one_sequence * demand.block_bytes) / demand.slot_bytes;
    plan.slots = std::clamp<std::int64_t>(std::min(by_half, beside_blocks), 1, demand.max_num_seqs);
    plan.max_num_seqs = plan.slots;
  }
  if (demand.block_bytes > 0) {
    const std::int64_t affordable = (demand.budget_bytes - plan.slots * demand.slot_bytes) / demand.block_bytes;
    plan.blocks = std::min(affordable, plan.max_num_seqs * one_sequence);
  }
  return plan;
}

std::string describe(const MemoryPlan& plan, std::int64_t block_size) {
  return std::to_string(plan.max_num_seqs) + " sequences; " + std::to_string(plan.max_model_len) +
         " tokens of context; " + std::to_string(plan.blocks) + " KV blocks of " + std::to_string(block_size) +
         " tokens; " + std::to_string(plan.slots) + " state slots";
}

}  // namespace millrace::engine
