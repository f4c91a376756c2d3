#include "operator/token_meter.h"

namespace millrace::controller {

void TokenMeter::read(const kube::ObjectKey& deployment, const std::string& pod_uid, std::uint64_t total) {
  const auto [last, is_new] = last_.try_emplace(pod_uid, total);
  if (!is_new) totals_[deployment] += static_cast<double>(total >= last->second ? total - last->second : total);
  last->second = total;
}

void TokenMeter::keep_only(const std::set<std::string>& pod_uids, const std::set<kube::ObjectKey>& deployments) {
  std::erase_if(last_, [&](const auto& item) { return !pod_uids.contains(item.first); });
  std::erase_if(totals_, [&](const auto& item) { return !deployments.contains(item.first); });
}

double TokenMeter::total(const kube::ObjectKey& deployment) const {
  const auto found = totals_.find(deployment);
  return found == totals_.end() ? 0 : found->second;
}

}  // namespace millrace::controller
