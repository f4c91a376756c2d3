#include "agent/load_tracker.h"

namespace millrace::agent {

void LoadTracker::arrived() {
  const std::lock_guard lock(mutex_);
  ++arrivals_;
}

void LoadTracker::first_token(double seconds) {
  const std::lock_guard lock(mutex_);
  first_token_.observe(seconds);
}

void LoadTracker::inter_token(double seconds) {
  const std::lock_guard lock(mutex_);
  inter_token_.observe(seconds);
}

void LoadTracker::ended(bool failed) {
  const std::lock_guard lock(mutex_);
  ++finished_;
  if (failed) ++failed_;
}

void LoadTracker::read(common::AgentLoad& load) const {
  const std::lock_guard lock(mutex_);
  load.arrivals = arrivals_;
  load.finished = finished_;
  load.failed = failed_;
  load.first_token = first_token_;
  load.inter_token = inter_token_;
}

}  // namespace millrace::agent
