// The agent's metrics: vLLM's names where vLLM has them, so that its dashboards and scalers work, millrace_* beside.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/load_tracker.h"
#include "common/agent_api.h"
#include "common/http.h"
#include "engine/engine.h"

namespace millrace::agent {

// What is read at each scrape.
struct MetricsSnapshot {
  common::AgentStatus status;
  engine::EngineInfo info;    // default without an engine
  engine::EngineStats stats;  // default without an engine
  engine::ExpertLoad expert_load;
  std::optional<std::chrono::system_clock::time_point> certificate_end;  // empty: no certificate, or none that is one
};

// A choice that has ended. Seconds from the arrival of the request.
struct FinishedChoice {
  std::string_view reason;  // stop, length, abort, error
  double seconds = 0.0;
  double first_token_seconds = 0.0;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
};

// What an accepted HTTP request asked for.
struct GenerationAsked {
  std::int32_t n = 1;
  std::int64_t max_tokens = 0;  // of each choice, limited to the context
};

// Any thread.
class AgentMetrics {
 public:
  AgentMetrics(const std::string& model_name, const std::string& version);
  ~AgentMetrics();

  void arrived();  // a generation request, whatever becomes of it
  void first_token(double seconds);
  void inter_token(double seconds);
  void finished(const FinishedChoice& choice);
  // The engine is done with a choice: time in the queue, in prefill and in decode, as far as it came.
  void engine_finished(const engine::RequestTimes& times);
  void asked(const GenerationAsked& asked);
  void rejected(std::string_view reason);  // queue_full, draining, not_ready
  void answered(std::string_view route, int status);

  common::HttpResponse render(const MetricsSnapshot& snapshot);
  // A generation request was refused after it was accepted, by no fault of its client.
  void broke();
  // The totals for the operator.
  const LoadTracker& load() const { return load_; }

 private:
  struct Families;
  std::unique_ptr<Families> families_;
  LoadTracker load_;
};

// Mean over the layers of (busiest expert / mean expert); 1 is perfect balance, 0 when nothing ran.
double expert_load_imbalance(const engine::ExpertLoad& load);

}  // namespace millrace::agent
