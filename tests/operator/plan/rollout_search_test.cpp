// Every reachable state of a small model: up to three replicas, three revisions, and at any moment a group may come up,
// lose its route, find it again, finish draining or disappear, and a user may edit, revert or scale. In each state the
// planner runs; what it does is checked, and from each state the way without further disturbance must reach the goal.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <set>
#include <string>
#include <tuple>

#include "operator/plan/rollout.h"
#include "tests/operator/plan/builders.h"

namespace millrace::controller {
namespace {

enum class Health { kNew, kRoutable, kLost, kLostLong, kLeaving };

struct Group {
  char revision;
  Health health;
  auto operator<=>(const Group&) const = default;
};

struct State {
  char revision = 'a';
  int replicas = 0;
  std::vector<Group> groups;  // sorted: their order does not matter
  auto operator<=>(const State&) const = default;
};

constexpr int kMaxReplicas = 3;

State sorted(State state) {
  std::sort(state.groups.begin(), state.groups.end());
  return state;
}

// Index i of the planner's input is group i of the state.
RolloutInput input_of(const State& state) {
  RolloutInput input;
  input.replicas = state.replicas;
  input.revision = std::string(1, state.revision);
  for (std::size_t i = 0; i < state.groups.size(); ++i) {
    const Group& group = state.groups[i];
    GroupFacts facts = testing::facts(std::string(1, group.revision), static_cast<int>(i), false);
    facts.name = std::to_string(i);
    facts.life = group.health == Health::kLeaving ? GroupFacts::Life::kRetiring : GroupFacts::Life::kLive;
    facts.routable = group.health == Health::kRoutable;
    facts.was_routable = group.health != Health::kNew;
    facts.lost_long = group.health == Health::kLostLong;
    input.groups.push_back(facts);
  }
  return input;
}

int available(const State& state) {
  return static_cast<int>(std::count_if(state.groups.begin(), state.groups.end(),
                                        [](const Group& group) { return group.health == Health::kRoutable; }));
}

State carry_out(State state, const RolloutPlan& plan) {
  for (const Retirement& retirement : plan.retire) {
    state.groups[std::stoul(retirement.group)].health = Health::kLeaving;
  }
  for (std::size_t i = 0; i < plan.create.size(); ++i) {
    state.groups.push_back({state.revision, Health::kNew});
  }
  return state;
}

void check(const State& before, const State& after) {
  if (available(after) < available(before)) {
    ASSERT_GE(available(after), after.replicas) << "a group that was needed was retired";
  }
  const auto bound = std::max<std::size_t>(before.groups.size(), static_cast<std::size_t>(after.replicas) + 1);
  ASSERT_LE(after.groups.size(), bound) << "more than one surplus group";
}

// What may happen next, other than the planner.
std::vector<State> disturbances(const State& state) {
  std::vector<State> result;
  for (const char revision : {'a', 'b', 'c'}) {
    State next = state;
    next.revision = revision;
    result.push_back(next);
  }
  for (int replicas = 0; replicas <= kMaxReplicas; ++replicas) {
    State next = state;
    next.replicas = replicas;
    result.push_back(next);
  }
  for (std::size_t i = 0; i < state.groups.size(); ++i) {
    const Health health = state.groups[i].health;
    const auto becomes = [&](Health other) {
      State next = state;
      next.groups[i].health = other;
      result.push_back(next);
    };
    State gone = state;  // it has left, or somebody else deleted it
    gone.groups.erase(gone.groups.begin() + static_cast<std::ptrdiff_t>(i));
    result.push_back(gone);
    if (health == Health::kLeaving) continue;
    becomes(Health::kLeaving);
    if (health == Health::kRoutable) becomes(Health::kLost);
    if (health == Health::kLost) becomes(Health::kLostLong);
    if (health != Health::kRoutable) becomes(Health::kRoutable);
  }
  return result;
}

// The kind course: live groups of the wanted revision come up, old ones that were lost stay lost, leaving ones leave.
State kind_step(State state) {
  for (auto group = state.groups.begin(); group != state.groups.end(); ++group) {
    if (group->health == Health::kLeaving) {
      state.groups.erase(group);
      return state;
    }
    if (group->revision == state.revision && group->health != Health::kRoutable) {
      group->health = Health::kRoutable;
      return state;
    }
    if (group->revision != state.revision && group->health == Health::kLost) {
      group->health = Health::kLostLong;
      return state;
    }
  }
  return state;
}

bool reached_goal(const State& state) {
  return static_cast<int>(state.groups.size()) == state.replicas &&
         std::all_of(state.groups.begin(), state.groups.end(), [&](const Group& group) {
           return group == Group{state.revision, Health::kRoutable};
         });
}

State plan_once(const State& state) {
  return sorted(carry_out(state, plan_rollout(input_of(state))));
}

// `good` holds states from which the goal is known to be reached, and gets those on the way.
void expect_convergence(State state, std::set<State>& good) {
  std::vector<State> way;
  for (int step = 0; step < 60; ++step) {
    const State next = plan_once(state);
    if (good.contains(state) || (next == state && reached_goal(state))) {
      good.insert(state);
      good.insert(way.begin(), way.end());
      return;
    }
    way.push_back(state);
    state = next == state ? sorted(kind_step(state)) : next;
  }
  FAIL() << "still not as asked after 60 steps";
}

std::string text_of(const State& state) {
  std::string text = std::string(1, state.revision) + " x" + std::to_string(state.replicas) + ":";
  for (const Group& group : state.groups) {
    text += " " + std::string(1, group.revision) + std::to_string(static_cast<int>(group.health));
  }
  return text;
}

TEST(RolloutSearch, IsSafeAndConvergesInEveryReachableState) {
  std::set<State> seen{State{}};
  std::set<State> good;
  std::deque<State> open{State{}};
  while (!open.empty()) {
    const State state = open.front();
    open.pop_front();
    const State planned = plan_once(state);
    check(state, planned);
    expect_convergence(state, good);
    if (HasFatalFailure()) FAIL() << "in state " << text_of(state) << " (revision and health of each group)";
    std::vector<State> next = disturbances(state);
    next.push_back(planned);
    for (State& candidate : next) {
      candidate = sorted(std::move(candidate));
      if (seen.insert(candidate).second) open.push_back(candidate);
    }
  }
  EXPECT_GT(seen.size(), 10'000U) << "the model became too small to mean anything";
}

}  // namespace
}  // namespace millrace::controller
