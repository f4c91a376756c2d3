// Tokens that agents generated, added up by deployment from the totals that each agent process tells. Not synchronised.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "operator/kube/object.h"

namespace millrace::controller {

class TokenMeter {
 public:
  // `total`: since the agent's process began; one that shrank began anew. The first of an agent is where counting
  // starts.
  void read(const kube::ObjectKey& deployment, const std::string& pod_uid, std::uint64_t total);
  // Forgets every other pod and deployment.
  void keep_only(const std::set<std::string>& pod_uids, const std::set<kube::ObjectKey>& deployments);
  double total(const kube::ObjectKey& deployment) const;

 private:
  std::map<std::string, std::uint64_t> last_;  // by pod uid
  std::map<kube::ObjectKey, double> totals_;
};

}  // namespace millrace::controller
