// Every workflow, with the operator stopped at every single one of its writes. A new operator must arrive where an
// undisturbed one does, without a group too many on the way and with nothing left behind.
#include <gtest/gtest.h>

#include "tests/operator/reconcile/crash_world.h"

namespace millrace::controller {
namespace {

using testing::Cache;
using testing::CrashWorld;
using testing::Fault;
using testing::PlayedLoad;

struct Act {
  int round = 0;
  std::function<void(CrashWorld&)> what;
};

struct Workflow {
  const char* name;
  std::function<void(CrashWorld&)> before;  // leads to a settled start; without faults
  std::vector<Act> acts;                    // in the order of their rounds
  int rounds = 40;                          // after which all has to be quiet
  int most_groups = 100;                    // at any time
  int least_serving = 0;
  std::function<bool(CrashWorld&)> arrived = [](CrashWorld&) { return true; };
};

void PrintTo(const Workflow& flow, std::ostream* out) {
  *out << flow.name;
}

Json spec_of(int replicas, const Json& more = Json::object()) {
  Json spec = {{"replicas", replicas}, {"model", {{"revision", "one"}}}};
  spec.update(more);
  return spec;
}

std::function<void(CrashWorld&)> apply(const Json& spec) {
  return [spec](CrashWorld& life) { life.world.apply(spec); };
}

std::function<void(CrashWorld&)> running(const Json& spec, int rounds = 8) {
  return [=](CrashWorld& life) {
    life.world.apply(spec);
    life.rounds(rounds);
  };
}

std::function<void(CrashWorld&)> change(const Json& patch) {
  return [patch](CrashWorld& life) {
    life.world.cluster.patch(kube::kModelDeployment, life.world.key, {{"spec", patch}});
  };
}

const Json kTwo = {{"model", {{"revision", "two"}}}};
const Json kThree = {{"model", {{"revision", "three"}}}};
const Json kOne = {{"model", {{"revision", "one"}}}};

Json with_rollout(const Json& rollout) {
  return {{"rollout", rollout}};
}

void cut_zone_a(CrashWorld& life) {
  life.silent_zones = {"a"};
  life.zones["a"].state = ZoneState::kFailed;
  life.zones["a"].since = life.world.now;
}

void mend_zone_a(CrashWorld& life) {
  life.silent_zones.clear();
  life.zones.clear();
}

void remove_deployment(CrashWorld& life) {
  life.world.cluster.remove(kube::kModelDeployment, life.world.key);
}

std::function<void(CrashWorld&)> load_agents(const PlayedLoad& load) {
  return [load](CrashWorld& life) { life.load = load; };
}

// Agents of every revision but the one that runs now fail.
void break_what_comes(CrashWorld& life) {
  life.sound_revision = life.world.deployment().string_at("/status/currentRevision");
}

std::function<bool(CrashWorld&)> serves(int groups) {
  return [=](CrashWorld& life) { return life.serving() == groups && life.groups() == groups; };
}

std::function<bool(CrashWorld&)> serves_updated(int groups) {
  return [=](CrashWorld& life) {
    const kube::Object object = life.world.deployment();
    return serves(groups)(life) &&
           object.string_at("/status/currentRevision") == object.string_at("/status/updateRevision");
  };
}

void ask_for_another_token(CrashWorld& life) {
  life.world.cluster.patch(kube::kModelDeployment, life.world.key,
                           {{"metadata", {{"annotations", {{kRotateAnnotation, "1"}}}}}});
}

bool has_another_token(CrashWorld& life) {
  const auto token = token_of(*life.world.cluster.get(kube::kSecret, {"default", "m-admin"}), life.world.now);
  return serves(2)(life) && token && !token->previous.empty();
}

bool nothing_is_left(CrashWorld& life) {
  return life.picture().empty();
}

std::vector<Workflow> workflows() {
  const Json wide = {{"parallelism", {{"tensor", 2}}}};  // groups of two pods
  const Json experts = {{"parallelism", {{"tensor", 2}, {"expert", 2}}},
                        {"devices", {{"perPod", 2}}},
                        {"experts", {{"intervalSeconds", 4}}}};
  const Json one_each_round = {{"stabilizationWindowSeconds", 0},
                               {"policies", {{{"type", "Pods"}, {"value", 1}, {"periodSeconds", 2}}}}};
  const Json load = {{"autoscaling", {{"maxReplicas", 3}, {"behavior", {{"scaleDown", one_each_round}}}}}};
  const Json canary = with_rollout({{"canary", {{"readySeconds", 20}, {"durationSeconds", 20}}}});
  return {
      {"Create", [](CrashWorld&) {}, {{0, apply(spec_of(2, wide))}}, 12, 2, 0, serves(2)},
      {"ScaleUp", running(spec_of(1, wide)), {{0, change({{"replicas", 3}})}}, 12, 3, 1, serves(3)},
      {"ScaleDown", running(spec_of(3, wide)), {{0, change({{"replicas", 1}})}}, 20, 3, 1, serves(1)},
      {"RolloutWithSurge", running(spec_of(2, wide)), {{0, change(kTwo)}}, 40, 3, 2, serves_updated(2)},
      {"RolloutWithoutASpareGroup",
       running(spec_of(3, with_rollout({{"maxSurge", 0}, {"maxUnavailable", 1}}))),
       {{0, change(kTwo)}},
       50,
       3,
       2,
       serves_updated(3)},
      {"EditInMidRollout", running(spec_of(2)), {{0, change(kTwo)}, {6, change(kThree)}}, 50, 3, 2, serves_updated(2)},
      {"RevertInMidRollout", running(spec_of(2)), {{0, change(kTwo)}, {6, change(kOne)}}, 40, 3, 2, serves_updated(2)},
      {"PauseResumeAndUndo",
       running(spec_of(2)),
       {{0, change(kTwo)}, {3, change({{"paused", true}})}, {9, change({{"paused", false}})}, {14, change(kOne)}},
       50,
       3,
       2,
       serves_updated(2)},
      {"CanaryThatPasses", running(spec_of(2, canary)), {{0, change(kTwo)}}, 60, 3, 2, serves_updated(2)},
      {"CanaryThatFails",
       running(spec_of(2, canary)),
       {{0, break_what_comes}, {0, change(kTwo)}},
       60,
       3,
       2,
       [](CrashWorld& life) { return serves(2)(life) && life.world.condition("RollbackActive") == "True"; }},
      {"Autoscaling",
       [=](CrashWorld& life) {
         load_agents({0, 0})(life);
         running(spec_of(1, load))(life);
       },
       {{0, load_agents({30, 240})}, {12, load_agents({0, 0})}},
       90,
       3,
       1,
       serves(1)},
      {"ExpertMove",
       running(spec_of(1, experts), 3),
       {},
       40,
       1,
       0,
       [](CrashWorld& life) { return life.experts.balanced(); }},
      {"ZoneFailover", running(spec_of(3)), {{0, cut_zone_a}, {12, mend_zone_a}}, 30, 4, 2, serves(3)},
      {"RotateAdminToken", running(spec_of(2)), {{0, ask_for_another_token}}, 12, 2, 2, has_another_token},
      {"Delete", running(spec_of(2)), {{0, remove_deployment}}, 8, 2, 0, nothing_is_left},
      {"DeleteWhileCreating",
       [](CrashWorld&) {},
       {{0, apply(spec_of(2, wide))}, {2, remove_deployment}},
       10,
       2,
       0,
       nothing_is_left},
      {"DeleteInMidRollout",
       running(spec_of(2)),
       {{0, change(kTwo)}, {4, remove_deployment}},
       12,
       3,
       0,
       nothing_is_left},
  };
}

class CrashPoints : public ::testing::TestWithParam<Workflow> {
 protected:
  // The whole workflow; the fault strikes at write `at` of what follows its start. Ends early where it has to end, if
  // that is `wanted` and nothing happened in a round.
  static Json live(CrashWorld& life, int at, Fault fault, const Json& wanted = {}) {
    const Workflow& flow = GetParam();
    flow.before(life);
    life.point = {at, fault, 0};
    auto act = flow.acts.begin();
    for (int round = 0; round < flow.rounds && !HasFailure(); ++round) {
      const std::uint64_t before = life.world.cluster.version();
      for (; act != flow.acts.end() && act->round <= round; ++act) act->what(life);
      life.round();
      const bool quiet = life.world.cluster.version() == before && act == flow.acts.end();
      if (quiet && flow.arrived(life) && life.picture() == wanted) return wanted;
      if (quiet) continue;
      EXPECT_EQ(life.orphan(), "") << "round " << round;
      EXPECT_LE(life.groups(), flow.most_groups) << "round " << round;
      EXPECT_GE(life.serving(), flow.least_serving) << "round " << round;
    }
    return life.picture();
  }
};

TEST_P(CrashPoints, EndWhereAnUndisturbedOperatorDoes) {
  CrashWorld quiet;
  const Json wanted = live(quiet, -1, Fault::kRefused);
  const int writes = quiet.point.writes;
  RecordProperty("writes", writes);
  EXPECT_TRUE(GetParam().arrived(quiet));
  quiet.rounds(1);
  EXPECT_EQ(quiet.point.writes, writes) << "it was not settled";
  for (const Fault fault : {Fault::kKilledBefore, Fault::kKilledBehind, Fault::kRefused, Fault::kAnswerLost}) {
    for (int at = 0; at < writes; ++at) {
      SCOPED_TRACE("fault " + std::to_string(static_cast<int>(fault)) + " at write " + std::to_string(at));
      CrashWorld life;
      const Json seen = live(life, at, fault, wanted);
      EXPECT_EQ(seen, wanted) << Json::diff(wanted, seen).dump(1);
      EXPECT_TRUE(GetParam().arrived(life));
      if (HasFailure()) return;
    }
  }
}

TEST_P(CrashPoints, EndThereWithACacheThatIsARoundBehind) {
  CrashWorld quiet;
  const Json wanted = live(quiet, -1, Fault::kRefused);
  CrashWorld life(Cache::kLagging);
  live(life, -1, Fault::kRefused);
  life.rounds(GetParam().rounds);
  EXPECT_EQ(life.picture(), wanted) << Json::diff(wanted, life.picture()).dump(1);
}

INSTANTIATE_TEST_SUITE_P(Workflows, CrashPoints, ::testing::ValuesIn(workflows()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace millrace::controller
