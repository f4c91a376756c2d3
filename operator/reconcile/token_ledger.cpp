#include "operator/reconcile/token_ledger.h"

#include <set>

namespace millrace::controller {

std::optional<TokenUse> TokenLedger::read(const kube::ObjectKey& deployment, const std::vector<GroupView>& groups,
                                          const CostRecord& cost) {
  const std::lock_guard lock(mutex_);
  if (!cost.price) {
    accounts_.erase(deployment);
    return std::nullopt;
  }
  const double total = cost.total.value_or(0);
  Account& account = accounts_.try_emplace(deployment, Account{cost.as_of, total, {}, false}).first->second;
  std::set<std::string> pods;
  for (const GroupView& group : groups) {
    const PodView* leader = group.leader();
    if (leader == nullptr) continue;
    pods.insert(leader->uid);
    if (!leader->evidence || !leader->evidence->status.load) continue;
    const common::AgentLoad& load = *leader->evidence->status.load;
    account.meter.read(deployment, leader->uid, load.first_token.total() + load.inter_token.total());
    account.heard = true;
  }
  account.meter.keep_only(pods, {deployment});
  if (!account.heard) return std::nullopt;
  return TokenUse{account.since, account.meter.total(deployment), total - account.cost_before};
}

void TokenLedger::forget(const kube::ObjectKey& deployment) {
  const std::lock_guard lock(mutex_);
  accounts_.erase(deployment);
}

}  // namespace millrace::controller
