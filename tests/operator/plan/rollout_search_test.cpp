// Every reachable state of small models: up to four replicas of three revisions, and at any moment a group may come up,
// lose its route, find it again, be preempted, crash away or finish draining, and a user may edit, revert, scale, pause
// and resume, and a canary may pass or fail, and the node of a group may be about to leave, or stay after all. In each
// state the planner runs; what it does is checked, also when only one of its steps is carried out; and from each state
// the way without further disturbance must reach the goal.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <unordered_set>
#include <vector>

#include "operator/plan/rollout.h"
#include "tests/operator/plan/builders.h"

namespace millrace::controller {
namespace {

enum class Health : std::uint8_t { kNew, kRoutable, kLost, kLostLong, kPreempted, kLeaving };
constexpr int kHealths = 6;

// Whether a group should be somewhere else.
enum class Place : std::uint8_t { kStays, kBetterElsewhere, kMustLeave, kMustFlee };
constexpr int kPlaces = 4;

struct ModelGroup {
  std::uint8_t revision;  // 0 is the one asked for
  Health health;
  Place place = Place::kStays;
  auto operator<=>(const ModelGroup&) const = default;
};

enum class Canary : std::uint8_t { kRunning, kPassed, kFailed };

struct State {
  int replicas = 0;
  std::uint8_t stable = 0;
  bool paused = false;
  Canary canary = Canary::kRunning;
  std::vector<ModelGroup> groups;  // sorted: their order does not matter
};

// One model.
struct Model {
  const char* name;
  int max_replicas;
  Budgets budgets;
  int partition = 0;
  int canary = 0;
  bool pauses = false;
  std::vector<Place> places{};  // other than staying, that groups may be asked for

  bool knows_stable() const { return partition > 0 || canary > 0 || pauses; }
};

void PrintTo(const Model& model, std::ostream* out) {
  *out << model.name;
}

std::uint64_t packed(const State& state) {
  std::uint64_t bits = 1;
  for (const ModelGroup& group : state.groups) {
    const int kind = (group.revision * kHealths + static_cast<int>(group.health)) * kPlaces;
    bits = bits << 7 | static_cast<std::uint64_t>(kind + static_cast<int>(group.place));
  }
  bits = bits << 3 | static_cast<std::uint64_t>(state.replicas);
  bits = bits << 2 | state.stable;
  bits = bits << 1 | (state.paused ? 1 : 0);
  return bits << 2 | static_cast<std::uint64_t>(state.canary);
}

State renamed(State state, const std::array<std::uint8_t, 3>& names) {
  state.stable = names[state.stable];
  for (ModelGroup& group : state.groups) group.revision = names[group.revision];
  std::sort(state.groups.begin(), state.groups.end());
  return state;
}

// One of the states that differ by the names of revisions only.
State canonical(const State& state) {
  if (state.stable == 2) return renamed(state, {0, 2, 1});
  State plain = renamed(state, {0, 1, 2});
  if (state.stable == 1) return plain;
  State swapped = renamed(state, {0, 2, 1});
  return packed(swapped) < packed(plain) ? swapped : plain;
}

const std::string& name_of(int revision) {
  static const std::array<std::string, 3> kNames{"a", "b", "c"};
  return kNames[static_cast<std::size_t>(revision)];
}

RolloutTarget target(const Model& model, const State& state) {
  TargetInput input;
  input.replicas = state.replicas;
  input.budgets = model.budgets;
  input.update.revision = name_of(0);
  input.stable.revision = model.knows_stable() ? name_of(state.stable) : "";
  input.partition = model.partition;
  input.canary = state.canary == Canary::kRunning ? model.canary : 0;
  input.rolled_back = model.canary > 0 && state.canary == Canary::kFailed;
  input.paused = state.paused;
  return target_of(input);
}

std::optional<Urgency> urgency_of(Place place) {
  switch (place) {
    case Place::kStays:
      return std::nullopt;
    case Place::kBetterElsewhere:
      return Urgency::kWhenSpare;
    case Place::kMustLeave:
      return Urgency::kInBudget;
    case Place::kMustFlee:
      return Urgency::kAtOnce;
  }
  return std::nullopt;
}

// Index i of the planner's input is group i of the state.
RolloutInput search_input(const Model& model, const State& state) {
  RolloutInput input;
  input.replicas = state.replicas;
  input.budgets = model.budgets;
  input.target = target(model, state);
  for (std::size_t i = 0; i < state.groups.size(); ++i) {
    const ModelGroup& group = state.groups[i];
    GroupFacts facts;
    facts.revision = name_of(group.revision);
    facts.index = static_cast<std::int32_t>(i);
    facts.name = std::to_string(i);
    facts.life = group.health == Health::kLeaving ? GroupFacts::Life::kRetiring : GroupFacts::Life::kLive;
    facts.routable = group.health == Health::kRoutable;
    facts.was_routable = group.health != Health::kNew;
    facts.lost_long = group.health == Health::kLostLong;
    facts.incomplete = group.health == Health::kPreempted;
    if (const auto urgency = urgency_of(group.place)) facts.move = Move{facts.name, *urgency, "NodeLeaving", ""};
    input.groups.push_back(facts);
  }
  return input;
}

// A group that is about to be lost with its node is not counted.
int available(const State& state) {
  return static_cast<int>(std::count_if(state.groups.begin(), state.groups.end(), [](const ModelGroup& group) {
    return group.health == Health::kRoutable && group.place != Place::kMustFlee;
  }));
}

State carry_out(State state, const RolloutPlan& plan) {
  for (const Retirement& retirement : plan.retire) {
    ModelGroup& group = state.groups[std::stoul(retirement.group)];
    group = {group.revision, Health::kLeaving};  // wherever it is, it goes
  }
  for (const NewGroup& group : plan.create) {
    state.groups.push_back({static_cast<std::uint8_t>(group.revision[0] - 'a'), Health::kNew});
  }
  std::sort(state.groups.begin(), state.groups.end());
  return state;
}

// The plan's steps are independent: any of them alone must be as safe as all together.
std::vector<State> single_steps(const State& state, const RolloutPlan& plan) {
  std::vector<State> result;
  for (const Retirement& retirement : plan.retire) result.push_back(carry_out(state, {{}, {retirement}, {}}));
  for (const NewGroup& group : plan.create) result.push_back(carry_out(state, {{group}, {}, {}}));
  return result;
}

void check(const Model& model, const State& before, const State& after) {
  if (available(after) < available(before)) {
    ASSERT_GE(available(after), after.replicas - model.budgets.unavailable) << "a group that was needed was retired";
  }
  const int limit = after.replicas + model.budgets.surge;
  const auto bound = std::max(before.groups.size(), static_cast<std::size_t>(limit));
  ASSERT_LE(after.groups.size(), bound) << "more groups than replicas + max_surge";
  const auto only_better_elsewhere = [](const State& state) {
    return std::all_of(state.groups.begin(), state.groups.end(), [](const ModelGroup& group) {
      return group.revision == 0 && (group.place == Place::kStays || group.place == Place::kBetterElsewhere);
    });
  };
  if (!model.places.empty() && only_better_elsewhere(before) && available(before) <= after.replicas) {
    ASSERT_GE(available(after), available(before)) << "less serves because something would be better elsewhere";
  }
}

// What may happen to group `index`, other than by the planner.
void disturb_group(const Model& model, const State& state, std::size_t index, std::vector<State>& result) {
  const Health health = state.groups[index].health;
  const auto becomes = [&](Health other) {
    result.push_back(state);
    result.back().groups[index].health = other;
  };
  result.push_back(state);  // it has left, or somebody else deleted it
  result.back().groups.erase(result.back().groups.begin() + static_cast<std::ptrdiff_t>(index));
  if (health == Health::kLeaving) return;
  becomes(Health::kLeaving);  // an operator that had seen other facts retired it
  result.back().groups[index].place = Place::kStays;
  if (health == Health::kRoutable) becomes(Health::kLost);
  if (health == Health::kLost) becomes(Health::kLostLong);
  if (health != Health::kNew && health != Health::kPreempted) becomes(Health::kPreempted);
  if (health != Health::kRoutable) becomes(Health::kRoutable);
  const auto should = [&](Place place) {
    result.push_back(state);
    result.back().groups[index].place = place;
  };
  if (!model.places.empty()) should(Place::kStays);
  for (const Place place : model.places) should(place);
}

std::vector<State> disturbances(const Model& model, const State& state) {
  std::vector<State> result;
  for (const std::uint8_t asked : {1, 2}) {  // an edit, or a revert
    State next =
        renamed(state, asked == 1 ? std::array<std::uint8_t, 3>{1, 0, 2} : std::array<std::uint8_t, 3>{2, 1, 0});
    next.canary = Canary::kRunning;
    if (!model.knows_stable()) next.stable = 0;
    result.push_back(next);
  }
  for (int replicas = 0; replicas <= model.max_replicas; ++replicas) {
    result.push_back(state);
    result.back().replicas = replicas;
  }
  if (model.pauses) {
    result.push_back(state);
    result.back().paused = !state.paused;
  }
  if (model.canary > 0 && state.stable != 0 && state.canary == Canary::kRunning) {
    for (const Canary verdict : {Canary::kPassed, Canary::kFailed}) {
      result.push_back(state);
      result.back().canary = verdict;
    }
  }
  for (std::size_t i = 0; i < state.groups.size(); ++i) disturb_group(model, state, i, result);
  return result;
}

// The kind course: groups of wanted revisions come up, others that were lost stay lost, leaving ones leave.
State kind_step(State state, const RolloutTarget& target) {
  for (auto group = state.groups.begin(); group != state.groups.end(); ++group) {
    if (group->health == Health::kLeaving) {
      state.groups.erase(group);
      return state;
    }
    const bool wanted =
        (target.share(name_of(group->revision)) != nullptr || target.frozen) && group->place == Place::kStays;
    if (wanted && group->health != Health::kRoutable) {
      group->health = Health::kRoutable;
    } else if (!wanted && group->health == Health::kLost) {
      group->health = Health::kLostLong;
    } else {
      continue;
    }
    std::sort(state.groups.begin(), state.groups.end());
    return state;
  }
  return state;
}

bool reached_goal(const State& state, const RolloutTarget& target) {
  const bool all_serve = available(state) == static_cast<int>(state.groups.size());
  const bool all_stay = std::all_of(state.groups.begin(), state.groups.end(),
                                    [](const ModelGroup& group) { return group.place == Place::kStays; });
  if (!all_stay) return false;
  if (target.frozen) return all_serve && available(state) == state.replicas;
  int wanted = 0;
  for (const Share& share : target.shares) {
    wanted += share.groups;
    const auto have = std::count_if(state.groups.begin(), state.groups.end(),
                                    [&](const ModelGroup& group) { return name_of(group.revision) == share.revision; });
    if (have != share.groups) return false;
  }
  return all_serve && available(state) == wanted;
}

std::string text_of(const State& state) {
  static const char* const kWords[] = {"new", "routable", "lost", "lost-long", "preempted", "leaving"};
  std::string text = std::to_string(state.replicas) + " replicas, stable " + name_of(state.stable);
  if (state.paused) text += ", paused";
  text += ", canary " + std::to_string(static_cast<int>(state.canary)) + ":";
  for (const ModelGroup& group : state.groups) {
    text += " " + name_of(group.revision) + "/" + kWords[static_cast<int>(group.health)];
    text += std::string(static_cast<std::size_t>(group.place), '!');
  }
  return text;
}

class Search {
 public:
  explicit Search(const Model& model) : model_(model) {}

  void run() {
    visit(State{});
    while (!open_.empty() && !::testing::Test::HasFatalFailure()) {
      const State state = std::move(open_.back());
      open_.pop_back();
      step(state);
    }
  }
  std::size_t states() const { return seen_.size(); }

 private:
  void visit(const State& candidate) {
    State state = canonical(candidate);
    if (seen_.insert(packed(state)).second) open_.push_back(std::move(state));
  }

  void step(const State& state) {
    SCOPED_TRACE(text_of(state));
    const RolloutPlan plan = plan_rollout(search_input(model_, state));
    const State planned = carry_out(state, plan);
    check(model_, state, planned);
    visit(planned);
    for (const State& next : single_steps(state, plan)) {
      check(model_, state, next);
      visit(next);
    }
    expect_convergence(state);
    for (const State& next : disturbances(model_, state)) visit(next);
    finish(state);
  }

  // A rollout that has finished makes its revision the stable one.
  void finish(const State& state) {
    const bool whole = model_.partition == 0 && (model_.canary == 0 || state.canary == Canary::kPassed);
    if (!model_.knows_stable() || state.stable == 0 || state.paused || !whole) return;
    if (!reached_goal(state, target(model_, state))) return;
    State next = state;
    next.stable = 0;
    visit(next);
  }

  void expect_convergence(State state) {
    std::vector<std::uint64_t> way;
    for (int step = 0; step < 80; ++step) {
      const RolloutTarget wanted = target(model_, state);
      const RolloutPlan plan = plan_rollout(search_input(model_, state));
      const std::uint64_t key = packed(canonical(state));
      if (good_.contains(key) || (plan.empty() && reached_goal(state, wanted))) {
        good_.insert(key);
        good_.insert(way.begin(), way.end());
        return;
      }
      way.push_back(key);
      state = plan.empty() ? kind_step(std::move(state), wanted) : carry_out(std::move(state), plan);
    }
    FAIL() << "still not as asked after 80 steps: " << text_of(state);
  }

  const Model model_;
  std::unordered_set<std::uint64_t> seen_;
  std::unordered_set<std::uint64_t> good_;  // states from which the goal is known to be reached
  std::vector<State> open_;
};

class RolloutSearch : public ::testing::TestWithParam<Model> {};

TEST_P(RolloutSearch, IsSafeAndConvergesInEveryReachableState) {
  Search search(GetParam());
  search.run();
  RecordProperty("states", static_cast<int>(search.states()));
  EXPECT_GT(search.states(), 1'000U) << "the model became too small to mean anything";
}

const std::vector<Place> kAnyPlace{Place::kBetterElsewhere, Place::kMustLeave, Place::kMustFlee};

INSTANTIATE_TEST_SUITE_P(
    Models, RolloutSearch,
    ::testing::Values(
        Model{"SurgeOne", 4, {1, 0}}, Model{"NoSpareDevice", 4, {0, 1}}, Model{"SurgeOneUnavailableOne", 4, {1, 1}},
        Model{"SurgeTwo", 3, {2, 0}}, Model{"UnavailableTwo", 4, {0, 2}}, Model{"Partition", 3, {1, 0}, 1},
        Model{"PartitionWithoutSpareDevice", 4, {0, 1}, 2}, Model{"Paused", 3, {1, 0}, 0, 0, true},
        Model{"PausedWithoutSpareDevice", 3, {0, 1}, 0, 0, true}, Model{"Canary", 3, {1, 0}, 0, 1},
        Model{"CanaryWithoutSpareDevice", 3, {0, 1}, 0, 1}, Model{"Moves", 2, {1, 0}, 0, 0, false, kAnyPlace},
        Model{"MovesOfThree", 3, {1, 0}, 0, 0, false, {Place::kMustLeave}},
        Model{"MovesWithoutSpareDevice", 3, {0, 1}, 0, 0, false, {Place::kMustLeave}},
        Model{"FlightWithoutSpareDevice", 2, {0, 1}, 0, 0, false, {Place::kMustLeave, Place::kMustFlee}},
        Model{"MovesSurgeOneUnavailableOne", 2, {1, 1}, 0, 0, false, {Place::kBetterElsewhere, Place::kMustLeave}},
        Model{"MovesWhilePaused", 2, {1, 0}, 0, 0, true, {Place::kMustLeave}}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace millrace::controller
