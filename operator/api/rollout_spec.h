// spec.rollout, spec.paused and spec.revisionHistoryLimit: how a deployment goes from one revision to the next.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/field_reader.h"

namespace millrace::controller {

enum class Rounding { kUp, kDown };

// A number of groups, or a share of the replicas in percent.
struct IntOrPercent {
  std::int32_t value = 0;
  bool percent = false;

  std::int32_t of(std::int32_t replicas, Rounding rounding) const;
};

// How much worse than the stable revision the new one may be.
struct CanaryTolerances {
  std::int32_t ttft_percent = 20;         // time to first token
  std::int32_t inter_token_percent = 20;  // time between two tokens
  std::int32_t error_percent = 1;         // failed requests, in percentage points
};

// A question whose answer is known. Asked greedily, without thinking.
struct GoldenPrompt {
  std::string prompt;
  std::string expect;  // the answer contains it
  std::int32_t max_tokens = 64;

  bool operator==(const GoldenPrompt&) const = default;
};

struct CanarySpec {
  IntOrPercent groups{1, false};
  std::int32_t duration_seconds = 300;  // of comparison, after all canary groups have become routable and warm
  std::int32_t ready_seconds = 1800;    // to become so
  std::int32_t min_samples = 0;         // requests of each revision without which nothing is concluded
  CanaryTolerances tolerances;
  std::vector<GoldenPrompt> golden_prompts;
};

struct RolloutSpec {
  IntOrPercent max_surge{1, false};
  IntOrPercent max_unavailable{0, false};
  std::int32_t partition = 0;  // groups that stay on the stable revision
  std::optional<CanarySpec> canary;
  bool paused = false;                       // spec.paused
  std::int32_t revision_history_limit = 10;  // spec.revisionHistoryLimit
};

// Reads the three fields from the reader of spec. `finish` is called for each object that was read to its end.
void read_rollout(FieldReader& spec, RolloutSpec& rollout, const std::function<void(FieldReader&)>& finish);

}  // namespace millrace::controller
