// Adds up what the agents of two revisions measured since the comparison of a canary began. Agents report totals of
// their process; what counts here is how far these have grown. A plain value.
#pragma once

#include <map>
#include <string>

#include "common/agent_load.h"
#include "operator/plan/canary_analysis.h"

namespace millrace::controller {

class CanaryWindow {
 public:
  // `load`: what the leader in pod `pod_uid` reports now. The first reading of a pod only sets where it starts from.
  void read(const std::string& pod_uid, bool update, const common::AgentLoad& load);

  CanarySamples samples() const;

 private:
  struct Process {
    bool update = false;
    common::AgentLoad first;
    common::AgentLoad last;
  };

  std::map<std::string, Process> processes_;  // by pod
  CanarySamples ended_;                       // of processes that began anew
};

}  // namespace millrace::controller
