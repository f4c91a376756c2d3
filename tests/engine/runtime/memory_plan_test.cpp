#include "engine/runtime/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.h"

namespace millrace::engine {
namespace {

using ::testing::HasSubstr;

// Hybrid: 1 kB per block of 16 tokens, 10 kB per state slot.
MemoryDemand hybrid() {
  MemoryDemand demand;
  demand.budget_bytes = 100'000;
  demand.block_bytes = 1'000;
  demand.slot_bytes = 10'000;
  demand.max_num_seqs = 32;
  demand.model_max_len = 100'000;
  return demand;
}

std::string error_of(const MemoryDemand& demand) {
  try {
    plan_memory(demand);
  } catch (const common::Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(MemoryPlan, GivesStateSlotsAtMostHalfOfTheBudget) {
  MemoryDemand demand = hybrid();
  demand.requested_max_len = 160;
  const MemoryPlan plan = plan_memory(demand);
  EXPECT_EQ(plan.slots, 5);
  EXPECT_EQ(plan.max_num_seqs, 5);
  EXPECT_EQ(plan.blocks, 50);
}

TEST(MemoryPlan, OneSequenceOfTheWholeContextAlwaysFits) {
  for (std::int64_t budget = 11'000; budget < 400'000; budget += 3'700) {
    for (std::int64_t length : {0, 16, 500, 1'600}) {
      MemoryDemand demand = hybrid();
      demand.budget_bytes = budget;
      demand.requested_max_len = length;
      MemoryPlan plan;
      try {
        plan = plan_memory(demand);
      } catch (const common::Error& error) {
        EXPECT_EQ(error.code(), common::Code::kResourceExhausted);
        continue;
      }
      EXPECT_GE(plan.blocks * 16, plan.max_model_len) << budget << " " << length;
      EXPECT_GE(plan.slots, 1);
      EXPECT_LE(plan.blocks * demand.block_bytes + plan.slots * demand.slot_bytes, budget);
    }
  }
}

TEST(MemoryPlan, UsesTheLongestContextThatFitsWhenNoneIsAsked) {
  MemoryDemand demand = hybrid();
  EXPECT_EQ(plan_memory(demand).max_model_len, 90 * 16);
  demand.model_max_len = 700;
  EXPECT_EQ(plan_memory(demand).max_model_len, 700);
}

TEST(MemoryPlan, NeedsNoSlotsWithoutGatedDeltaNetLayers) {
  MemoryDemand demand = hybrid();
  demand.slot_bytes = 0;
  demand.requested_max_len = 160;
  const MemoryPlan plan = plan_memory(demand);
  EXPECT_EQ(plan.slots, 0);
  EXPECT_EQ(plan.max_num_seqs, 32);
  EXPECT_EQ(plan.blocks, 100);
}

TEST(MemoryPlan, NeverHoldsMoreBlocksThanAllSequencesCanUse) {
  MemoryDemand demand = hybrid();
  demand.slot_bytes = 0;
  demand.max_num_seqs = 2;
  demand.requested_max_len = 160;
  EXPECT_EQ(plan_memory(demand).blocks, 20);
}

TEST(MemoryPlan, SaysHowManyBytesOneSequenceNeeds) {
  MemoryDemand demand = hybrid();
  demand.requested_max_len = 1'600;
  EXPECT_THAT(error_of(demand), HasSubstr("needs 110000"));
  EXPECT_THAT(error_of(demand), HasSubstr("max_model_len to at most 1440"));
  demand.budget_bytes = 5'000;
  demand.requested_max_len = 0;
  EXPECT_THAT(error_of(demand), HasSubstr("raise cache_bytes"));
}

TEST(MemoryPlan, RefusesAContextBeyondTheModel) {
  MemoryDemand demand = hybrid();
  demand.requested_max_len = 100'001;
  EXPECT_THAT(error_of(demand), HasSubstr("the model supports 100000"));
}

}  // namespace
}  // namespace millrace::engine
