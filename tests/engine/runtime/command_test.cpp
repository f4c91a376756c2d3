#include "engine/runtime/command.h"

#include <gtest/gtest.h>

#include "common/error.h"

namespace millrace::engine {
namespace {

RunStep example_step() {
  RunStep step;
  step.inputs.token_ids = {1, 2, 3};
  step.inputs.positions = {0, 1, 7};
  step.inputs.plane_positions = {0, 0, 2, 3, 7, 7};
  step.inputs.row_begin = {0, 2, 3};
  step.inputs.context = {0, 7};
  step.inputs.blocks = {4, -1, 5, 6};
  step.inputs.max_blocks = 2;
  step.inputs.slots = {1, 0};
  step.inputs.logit_rows = {1, 2};
  step.inputs.slot_copies = {{3, 4}};
  return step;
}

TEST(Command, AStepSurvivesTheWire) {
  const RunStep step = example_step();
  const Command command = decode_command(encode(step));
  const auto& copy = std::get<RunStep>(command).inputs;
  EXPECT_EQ(copy.token_ids, step.inputs.token_ids);
  EXPECT_EQ(copy.positions, step.inputs.positions);
  EXPECT_EQ(copy.plane_positions, step.inputs.plane_positions);
  EXPECT_EQ(copy.row_begin, step.inputs.row_begin);
  EXPECT_EQ(copy.context, step.inputs.context);
  EXPECT_EQ(copy.blocks, step.inputs.blocks);
  EXPECT_EQ(copy.max_blocks, step.inputs.max_blocks);
  EXPECT_EQ(copy.slots, step.inputs.slots);
  EXPECT_EQ(copy.logit_rows, step.inputs.logit_rows);
  EXPECT_EQ(copy.slot_copies, step.inputs.slot_copies);
}

TEST(Command, APlacementSurvivesTheWire) {
  PreparePlacement command;
  command.placement = {7, 4, 2, 3, {{0, 1, 0, 2, 3, 2}, {3, 2, 1, 0, 0, 0}}};
  command.max_bytes_per_second = 12;
  const auto decoded = std::get<PreparePlacement>(decode_command(encode(command)));
  EXPECT_EQ(decoded.placement, command.placement);
  EXPECT_EQ(decoded.max_bytes_per_second, 12);
}

TEST(Command, EveryKindKeepsItsKind) {
  for (const Command& command :
       {Command(PollPlacement{}), Command(CommitPlacement{}), Command(KeepAlive{}), Command(Stop{})}) {
    EXPECT_EQ(decode_command(encode(command)).index(), command.index());
  }
}

TEST(Command, EveryTruncationIsAnErrorAndNoCrash) {
  const auto whole = encode(example_step());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(decode_command(std::span(whole).first(size)), common::Error) << size;
  }
  auto longer = whole;
  longer.push_back(std::byte{0});
  EXPECT_THROW(decode_command(longer), common::Error);
}

TEST(Command, ALyingLengthIsAnError) {
  auto message = encode(example_step());
  for (std::size_t i = 1; i < 9; ++i) message[i] = std::byte{0xFF};
  EXPECT_THROW(decode_command(message), common::Error);
}

TEST(Command, ProgressSurvivesTheWire) {
  const PlacementProgress progress{PlacementProgress::State::kFailed, "rank 1: no such file"};
  const PlacementProgress copy = decode_progress(encode(progress));
  EXPECT_EQ(copy.state, progress.state);
  EXPECT_EQ(copy.message, progress.message);
}

}  // namespace
}  // namespace millrace::engine
