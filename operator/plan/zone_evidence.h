// What speaks for and against each zone, counted from agents, nodes and leases. Pure.
#pragma once

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "operator/plan/placement.h"
#include "operator/plan/zone_health.h"

namespace millrace::controller {

// An agent that answered at some time.
struct AgentContact {
  std::string zone;
  bool failing = false;                  // the last attempt failed
  std::chrono::milliseconds silence{0};  // since the last answer; meaningful when failing
};

// The leases of nodes, read again and again while a zone is in doubt. Times are compared with each other only, never
// with a clock: nodes' clocks may differ from ours.
class LeaseMemory {
 public:
  void read(const std::map<std::string, std::string>& renew_times);  // by node
  void forget();

  bool compared() const { return reads_ > 1; }
  bool renewed(const std::string& node) const { return renewed_.contains(node); }

 private:
  int reads_ = 0;
  std::map<std::string, std::string> first_;
  std::set<std::string> renewed_;
};

ZoneEvidences gather_evidence(const std::vector<AgentContact>& agents, const std::vector<NodeView>& nodes,
                              const LeaseMemory& leases);

// A zone may be in trouble: leases must be read.
bool is_in_doubt(const ZoneEvidences& evidence, const ZoneHealths& health);

}  // namespace millrace::controller
