// What the leader of a group tells of its load, as the block `load` of AgentStatus: what is now, and totals since the
// process began, whose differences between two readings are rates and latencies.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "common/latency_histogram.h"

namespace millrace::common {

struct AgentLoad {
  std::int64_t queue = 0;        // sequences that wait for the engine
  std::int64_t running = 0;      // sequences in the running batch
  double kv_usage = 0.0;         // 0..1
  double state_usage = 0.0;      // 0..1
  std::uint64_t arrivals = 0;    // total: generation requests, those refused for a full queue included
  std::uint64_t finished = 0;    // total: choices that ended, but for those that their client gave up; 0 from
                                 // earlier versions
  std::uint64_t failed = 0;      // total: of those, the ones that ended in an error of the server
  LatencyHistogram first_token;  // total: from arrival to the first token
  LatencyHistogram inter_token;  // total: between two tokens of a sequence
};

// Reading throws Error{kInvalidArgument} naming the field. A usage that is not a finite number of 0 or more is read as
// NaN: the rest of the block is still of use.
void to_json(nlohmann::json& json, const AgentLoad& value);
void from_json(const nlohmann::json& json, AgentLoad& value);

}  // namespace millrace::common
