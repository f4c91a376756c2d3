// Which groups are made and which are retired. Pure: the same facts give the same plan, and every plan is safe by
// itself, whatever was planned before.
//
// Never, by the planner's doing: fewer available groups than asked for while there were enough; more groups in all than
// asked for plus one (those still leaving included). Always: with agents that come up, exactly `replicas` groups of the
// wanted revision remain.
//
// Surge is one group: a rollout makes one new group, waits until it is routed, retires one old group, and so on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "operator/plan/group.h"
#include "operator/plan/placement.h"

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
  bool incomplete = false;    // pods are missing; only groups of the wanted revision can be completed
  bool overdue = false;       // should be gone by now (its node is silent): no longer counted
};

// How long an old group that lost its route is given to come back before a rollout takes it first.
inline constexpr std::chrono::seconds kPatience{60};
// A deleted pod whose node has not confirmed after this long past its grace is not waited for.
inline constexpr std::chrono::seconds kOverdue{60};

GroupFacts facts_of(const GroupView& group, TimePoint now);

struct RolloutInput {
  std::int32_t replicas = 1;
  std::string revision;  // wanted
  std::int32_t pods_per_group = 1;
  std::vector<GroupFacts> groups;
  Supply supply;
};

struct NewGroup {
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

  bool empty() const { return create.empty() && retire.empty(); }
};

RolloutPlan plan_rollout(const RolloutInput& input);

}  // namespace millrace::controller
