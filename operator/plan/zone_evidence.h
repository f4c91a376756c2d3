// What speaks for and against each zone, counted from agents, nodes and leases. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/plan/placement.h"
#include "operator/plan/zone_health.h"

namespace millrace::controller {

// The agents of one zone that answered at some time.
struct AgentContacts {
  std::int32_t agents = 0;
  std::vector<std::chrono::milliseconds> silences;  // since the last answer, of those whose last attempt failed
};
using ZoneContacts = std::map<std::string, AgentContacts>;  // by zone

// The leases of nodes, read again and again while a zone is in doubt. Times in them are compared with each other only,
// never with a clock: nodes' clocks may differ from ours.
class LeaseMemory {
 public:
  // `renew_times` by node, as they were at some time between `asked` and `answered`.
  void read(const std::map<std::string, std::string>& renew_times, TimePoint asked, TimePoint answered);
  void forget();

  // Between the first answer after `since` and the last question, at least.
  std::chrono::milliseconds compared_for(TimePoint since = {}) const;
  // The lease was seen to change less than kRenewalLimit before the last read.
  bool renewed(const std::string& node) const;
  bool renewed_after(const std::string& node, TimePoint since) const;

  // Nodes renew every 10 s.
  static constexpr std::chrono::seconds kRenewalLimit{12};

 private:
  struct Known {
    std::string time;
    std::optional<TimePoint> changed_at;
  };

  std::optional<TimePoint> first_;
  TimePoint last_;
  std::map<std::string, Known> nodes_;
};

// Of pods whose gates were closed because of a doubt.
struct KubeletAnswers {
  std::int32_t asked = 0;
  std::int32_t answered = 0;
};

struct ZoneSources {
  TimePoint now;
  const ZoneContacts& agents;
  const std::vector<NodeView>& nodes;
  const LeaseMemory& leases;
  const std::map<std::string, KubeletAnswers>& kubelets;  // by zone
};

ZoneEvidences gather_evidence(const ZoneSources& sources);

// A zone may be in trouble: leases must be read.
bool is_in_doubt(const ZoneEvidences& evidence, const ZoneHealths& health);

}  // namespace millrace::controller
