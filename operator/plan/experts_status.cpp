#include "operator/plan/experts_status.h"

#include <algorithm>

#include "operator/kube/timestamp.h"
#include "operator/plan/decimal.h"

namespace millrace::controller {
namespace {

using kube::Json;

bool is_bad(ExpertVerdict verdict) {
  return verdict >= ExpertVerdict::kReverted;
}

}  // namespace

ExpertsCondition experts_condition(const std::vector<ExpertGroupStatus>& groups) {
  if (groups.empty()) return {"Unknown", "NoGroup", "no group is up whose experts could be balanced"};
  const auto worst = std::max_element(groups.begin(), groups.end(),
                                      [](const auto& a, const auto& b) { return a.verdict < b.verdict; });
  const std::string reason(to_string(worst->verdict));
  std::string message = worst->verdict == ExpertVerdict::kNoTraffic ? "too few tokens were routed to judge the balance"
                                                                    : "group " + worst->group + ": " + worst->message;
  if (worst->verdict == ExpertVerdict::kNoTraffic) return {"Unknown", reason, message};
  if (worst->verdict == ExpertVerdict::kRebalancing) return {"Unknown", reason, message};
  return {is_bad(worst->verdict) ? "False" : "True", reason, message};
}

Json experts_json(const std::vector<ExpertGroupStatus>& groups, const Json& previous) {
  Json json = previous.is_object() ? previous : Json::object();
  std::int64_t number = 0;
  std::int32_t reverted = 0;
  std::int64_t bytes = 0;
  const ExpertGroupStatus* latest = nullptr;
  for (const ExpertGroupStatus& group : groups) {
    number = std::max(number, group.placement_number);
    reverted += group.reverted;
    bytes += group.bytes_moved;
    if (group.last && (latest == nullptr || group.last->at > latest->last->at)) latest = &group;
  }
  json["placementNumber"] = number;
  json["placementsReverted"] = reverted;
  if (latest == nullptr) return json;
  json["bytesMoved"] = bytes;
  const ExpertMoveResult& move = *latest->last;
  json["imbalanceBefore"] = decimal(move.all.before, 3);
  json["imbalanceAfter"] = decimal(move.all.after, 3);
  json["worstLayer"] = move.worst_layer;
  json["worstLayerBefore"] = decimal(move.worst.before, 3);
  json["worstLayerAfter"] = decimal(move.worst.after, 3);
  json["lastGroup"] = latest->group;
  json["lastSuccessTime"] = kube::format_time(move.at);
  return json;
}

}  // namespace millrace::controller
