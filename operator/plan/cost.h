// Replica-hours and what they cost, as status keeps them: a total up to a moment, and the rate since. Between two
// writes anybody can carry the total on to now, so at rest nothing has to be written and an operator that restarts
// loses nothing. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "operator/kube/object.h"
#include "operator/plan/group.h"

namespace millrace::controller {

struct CostRecord {
  TimePoint since;              // when counting began
  TimePoint as_of;              // the totals are up to this moment, to the second
  std::int32_t groups = 0;      // that have held a node since then
  std::optional<double> price;  // of one of them for an hour, in the user's unit
  double replica_hours = 0;
  std::optional<double> total;  // cost; empty while there has been no price

  bool operator==(const CostRecord&) const = default;
};

// From status.cost; empty when it is absent or makes no sense.
std::optional<CostRecord> read_cost(const kube::Json& json);
kube::Json cost_json(const CostRecord& record);

// Groups that hold nodes or are about to; those that no node takes cost nothing. Changes only together with what status
// says of groups anyway.
std::int32_t groups_that_cost(const std::vector<GroupView>& groups);

// Whether groups and price are those of `recorded` (status.cost, may be null): as written, where prices are rounded.
bool same_rate(const kube::Json& recorded, const CostRecord& next);

// The record with its totals up to `now`.
CostRecord carried_on(CostRecord record, TimePoint now);
// What to write: the totals up to now, and from now on these groups at this price. Empty `before`: counting begins.
CostRecord next_cost(const std::optional<CostRecord>& before, std::int32_t groups, std::optional<double> price,
                     TimePoint now);

// What was generated over a time, and what the deployment cost meanwhile.
struct TokenUse {
  TimePoint since;
  double generated = 0;
  double cost = 0;
};

// How often status tells of tokens while there are new ones and nothing else changes.
inline constexpr std::chrono::minutes kTokenNews{10};

// status.cost.tokens: what a million tokens have cost. What is `recorded` there when nothing was generated yet.
kube::Json tokens_json(const TokenUse& use, const kube::Json& recorded);
// Whether status.cost, as `recorded`, has been without news of tokens for long enough.
bool is_news(const TokenUse& use, const kube::Json& recorded, TimePoint now);

}  // namespace millrace::controller
