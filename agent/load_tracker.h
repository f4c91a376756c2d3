// Totals since the start of the process that the operator reads once a second (common/agent_load.h).
#pragma once

#include <cstdint>
#include <mutex>

#include "common/agent_load.h"

namespace millrace::agent {

// Any thread.
class LoadTracker {
 public:
  void arrived();  // a generation request, whatever becomes of it
  void first_token(double seconds);
  void inter_token(double seconds);
  void ended(bool failed);  // a choice, or a request that failed before it had any

  // Fills the totals; what is now is left as it is.
  void read(common::AgentLoad& load) const;

 private:
  mutable std::mutex mutex_;
  std::uint64_t arrivals_ = 0;
  std::uint64_t finished_ = 0;
  std::uint64_t failed_ = 0;
  common::LatencyHistogram first_token_;
  common::LatencyHistogram inter_token_;
};

}  // namespace millrace::agent
