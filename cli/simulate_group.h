// One simulated replica: a queue, chunked prefill and a decode batch whose steps get slower as it grows. Events are
// exact; between two of them all sequences advance at the same pace.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <vector>

#include "cli/simulate_trace.h"
#include "common/agent_load.h"

namespace millrace::cli {

struct SimulatedRequest {
  double arrival = 0;  // seconds
  double prompt_tokens = 0;
  double output_tokens = 1;
};

// What clients saw. Times are seconds of the simulation.
class ServiceObserver {
 public:
  virtual ~ServiceObserver() = default;
  virtual void first_token(double arrival, double now) = 0;
  // `tokens` followed their predecessors after `gap` seconds.
  virtual void tokens(double now, double gap, double tokens) = 0;
};

class SimulatedGroup {
 public:
  // Borrows both.
  SimulatedGroup(const ServiceModel& model, ServiceObserver& observer, double now)
      : model_(model), observer_(observer), now_(now) {}

  void arrive(const SimulatedRequest& request);  // at the time advanced to
  void advance(double to);

  bool idle() const { return queue_.empty() && prefill_.empty() && running_.empty(); }
  const common::AgentLoad& load();

 private:
  struct Prefill {
    SimulatedRequest request;
    double remaining;
  };
  struct Running {
    double finish;  // in steps of this group
    double kv_tokens;
    bool operator>(const Running& other) const { return finish > other.finish; }
  };

  void admit();
  double step_seconds() const;
  void complete_prefill();

  const ServiceModel& model_;
  ServiceObserver& observer_;
  double now_;
  double steps_ = 0;       // made so far
  double kv_used_ = 0;     // tokens, of admitted sequences in full
  double unreported_ = 0;  // tokens, a fraction of one
  std::deque<SimulatedRequest> queue_;
  std::deque<Prefill> prefill_;
  std::priority_queue<Running, std::vector<Running>, std::greater<>> running_;
  common::AgentLoad load_;
};

}  // namespace millrace::cli
