// Which groups are made and which are retired. Pure: the same facts give the same plan, and every plan is safe by
// itself, whatever was planned before and however many of its steps are carried out.
//
// Never, by the planner's doing: fewer routable groups than replicas - max_unavailable; more groups in all (those still
// leaving included) than replicas + max_surge. Always: with agents that come up, exactly the wanted shares remain.
//
// Only what serves now counts as available, whatever its revision: a group that lost its route uses up the budget
// before a sound one may be touched, and a revision is never taken for finished because of groups of another.
//
// A group that should be somewhere else is replaced like one of another revision: its successor, of a wanted revision,
// comes up first where a surge allows it. One whose node is lost in a moment no longer counts as available and may
// always be retired; one that would merely be better elsewhere goes only when all replicas serve without it.
//
// A revision proves itself before it costs much: until one of its groups serves, no more than one group is taken out
// for its sake, whatever max_unavailable allows.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/plan/group.h"
#include "operator/plan/moves.h"
#include "operator/plan/placement.h"
#include "operator/plan/rollout_target.h"

namespace millrace::controller {

// A group as the planner sees it.
struct GroupFacts {
  enum class Life { kLive, kRetiring, kTerminating };

  std::string name;
  std::string revision;
  std::string zone;
  std::int32_t index = 0;
  Life life = Life::kLive;
  bool routable = false;
  bool was_routable = false;  // at some time
  bool lost_long = false;     // was routed, and has not been for longer than kPatience
  bool incomplete = false;    // pods are missing; only groups of wanted revisions can be completed
  bool overdue = false;       // should be gone by now (its node is silent): no longer counted
  std::optional<Move> move;   // it should be somewhere else
};

// How long an old group that lost its route is given to come back before a rollout takes it first.
inline constexpr std::chrono::seconds kPatience{60};
// A deleted pod whose node has not confirmed after this long past its grace is not waited for.
inline constexpr std::chrono::seconds kOverdue{60};

GroupFacts facts_of(const GroupView& group, TimePoint now);

struct RolloutInput {
  std::int32_t replicas = 1;
  Budgets budgets;
  RolloutTarget target;
  std::vector<GroupFacts> groups;
  Supply supply;
};

struct NewGroup {
  std::string revision;
  std::int32_t index = 0;
  std::string zone;
};

struct Retirement {
  std::string group;
  std::string reason;  // for logs and events: "a newer revision replaces it"
};

struct RolloutPlan {
  std::vector<NewGroup> create;
  std::vector<Retirement> retire;
  std::map<std::string, std::int32_t> waiting;  // by zone: groups that are not made until it is well again

  bool empty() const { return create.empty() && retire.empty(); }
};

RolloutPlan plan_rollout(const RolloutInput& input);

}  // namespace millrace::controller
