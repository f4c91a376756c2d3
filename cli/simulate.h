// Replays a load trace against a scaling rule. Deterministic: equal inputs give equal results.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/simulate_rules.h"
#include "cli/simulate_trace.h"

namespace millrace::cli {

struct SimulationResult {
  std::string rule;
  int minutes = 0;       // with requests
  int minutes_held = 0;  // in which 95 % of the requests and of the tokens met their targets
  std::int64_t requests = 0;
  std::int64_t requests_in_time = 0;  // to their first token
  double replica_hours = 0;           // of groups that existed, starting and draining included
  int most_replicas = 0;
  int direction_changes = 0;            // of the desired replicas
  int most_changes_in_ten_minutes = 0;  // of direction
  std::vector<int> missed;              // minutes with requests in which the targets were not held
  std::vector<std::int32_t> replicas;   // desired, at the end of each minute

  double attainment() const { return minutes == 0 ? 1.0 : static_cast<double>(minutes_held) / minutes; }
};

SimulationResult simulate(const LoadTrace& trace, ScalingRule& rule, std::uint64_t seed);

// All rules on one trace: the operator's own first, then the queue threshold, then the HPA.
std::vector<SimulationResult> simulate_all(const LoadTrace& trace, std::uint64_t seed);

std::string format_simulation(const LoadTrace& trace, const std::vector<SimulationResult>& results);

}  // namespace millrace::cli
