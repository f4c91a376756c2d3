// A load trace to replay: how many requests arrive when, and what the simulated replicas are like.
//
// CSV. Lines `# key: value` set properties of the service; then a heading and rows with the columns `second`,
// `requests_per_second` and, when they change, `prompt_tokens` and `output_tokens`. A row holds until the next one; the
// last row ends the trace.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "operator/api/autoscaling_spec.h"

namespace millrace::cli {

// What a replica can do. The defaults give one about three requests a second.
struct ServiceModel {
  double slots = 32;          // sequences that run together
  double queue = 128;         // that may wait; one more is refused
  double kv_tokens = 60'000;  // tokens that the KV cache holds
  double prefill_tokens_per_second = 8'000;
  double chunk_tokens = 256;            // prompt tokens of one step
  double decode_base_ms = 20;           // of a step with one sequence
  double decode_per_sequence_ms = 0.5;  // more for each further one
  double start_up_seconds = 60;         // from creation to traffic
};

struct TraceRow {
  double second = 0;
  double requests_per_second = 0;
  double prompt_tokens = 600;  // means; lengths vary around them
  double output_tokens = 200;
};

struct LoadTrace {
  ServiceModel service;
  controller::AutoscalingSpec autoscaling;  // targets, minimum and maximum
  std::int32_t start_replicas = 1;
  std::vector<TraceRow> rows;  // by time; the last one only ends the trace

  double seconds() const { return rows.back().second; }
  const TraceRow& at(double second) const;
};

// Throws common::Error naming the line. `name` starts messages.
LoadTrace parse_trace(const std::string& text, const std::string& name);
LoadTrace read_trace(const std::filesystem::path& file);

}  // namespace millrace::cli
