// Tokens that each deployment generates, and what it costs meanwhile, since this operator began to count. In memory: an
// operator that takes over counts anew.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "operator/plan/cost.h"
#include "operator/token_meter.h"

namespace millrace::controller {

// Any thread.
class TokenLedger {
 public:
  // Reads off what the leaders of `groups` tell of themselves. `cost`: of the deployment, carried on to now; without a
  // price nothing is counted. Empty until an agent has told its totals.
  std::optional<TokenUse> read(const kube::ObjectKey& deployment, const std::vector<GroupView>& groups,
                               const CostRecord& cost);
  void forget(const kube::ObjectKey& deployment);

 private:
  struct Account {
    TimePoint since;
    double cost_before = 0;
    TokenMeter meter;
    bool heard = false;
  };

  std::mutex mutex_;
  std::map<kube::ObjectKey, Account> accounts_;
};

}  // namespace millrace::controller
