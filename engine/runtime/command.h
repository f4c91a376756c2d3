// What the leader tells the other ranks before every collective action, and its encoding. All ranks of a group run the
// same binary: the encoding is private to one version.
#pragma once

#include <cstddef>
#include <span>
#include <variant>
#include <vector>

#include "engine/backend/step.h"
#include "engine/expert_placement.h"

namespace millrace::engine {

struct RunStep {
  StepInputs inputs;
};
struct PreparePlacement {
  ExpertPlacement placement;
  std::int64_t max_bytes_per_second = 0;
};
struct PollPlacement {};    // every rank answers with a PlacementProgress
struct CommitPlacement {};  // switch to the prepared placement now
struct DropPlacement {};    // stop preparing; the placement in force stays
struct KeepAlive {};        // nothing to do; notices dead peers while idle
struct Stop {};

using Command = std::variant<RunStep, PreparePlacement, PollPlacement, CommitPlacement, KeepAlive, Stop, DropPlacement>;

std::vector<std::byte> encode(const Command& command);
// Throws kDataLoss when `message` is not what encode makes.
Command decode_command(std::span<const std::byte> message);

// A rank's answer to PollPlacement.
struct PlacementProgress {
  enum class State : std::uint8_t { kPreparing, kReady, kFailed };
  State state = State::kPreparing;
  std::string message;  // for kFailed
};
std::vector<std::byte> encode(const PlacementProgress& progress);
PlacementProgress decode_progress(std::span<const std::byte> message);

}  // namespace millrace::engine
