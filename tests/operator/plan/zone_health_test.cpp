#include "operator/plan/zone_health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace millrace::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

ZoneEvidence well() {
  return {.agents = 4, .nodes = 2};
}

// And its kubelets do not answer that gates are closed.
ZoneEvidence silent(milliseconds time) {
  return {.agents = 4,
          .silent = 4,
          .silent_for = time,
          .nodes = 2,
          .leases_for = seconds(4),
          .leases_in_silence_for = seconds(4),
          .asked_kubelets = 4};
}

// Three zones, of which tests disturb "a".
class Zones {
 public:
  ZoneState see(const ZoneEvidence& a) { return see(a, well()); }
  ZoneState see(const ZoneEvidence& a, const ZoneEvidence& others) {
    health_ = next_health(health_, {{"a", a}, {"b", others}, {"c", others}}, api_, now_);
    return state();
  }
  // Seconds of the same evidence, one step each.
  ZoneState see_for(seconds time, const ZoneEvidence& a) {
    for (seconds t{0}; t < time; t += seconds(1)) {
      see(a);
      pass(seconds(1));
    }
    return see(a);
  }
  // From well, silence that lasts so long.
  ZoneState silence(seconds time) {
    for (seconds t{0}; t <= time; t += seconds(1)) {
      see(silent(t));
      pass(seconds(1));
    }
    return state();
  }
  void pass(milliseconds time) { now_ += time; }
  void api_reachable(bool yes) { api_ = yes; }
  ZoneState state(const std::string& zone = "a") const { return health_.at(zone).state; }
  const ZoneHealth& health() const { return health_.at("a"); }

 private:
  TimePoint now_{seconds(1'000'000)};
  ZoneHealths health_;
  bool api_ = true;
};

TEST(ZoneHealth, AZoneSeenForTheFirstTimeIsHealthy) {
  Zones zones;
  EXPECT_EQ(zones.see(well()), ZoneState::kHealthy);
  EXPECT_TRUE(zones.health().takes_traffic());
  EXPECT_TRUE(zones.health().takes_groups());
}

TEST(ZoneHealth, SilenceTakesTrafficAwayAndLeavesGroupsAtFirst) {
  Zones zones;
  zones.see(well());
  EXPECT_EQ(zones.silence(seconds(2)), ZoneState::kHealthy);
  EXPECT_EQ(zones.see(silent(seconds(3))), ZoneState::kSuspect);
  EXPECT_FALSE(zones.health().takes_traffic());
  EXPECT_TRUE(zones.health().takes_groups());
  EXPECT_THAT(zones.health().reason, HasSubstr("4 of 4 agents do not answer"));
}

TEST(ZoneHealth, SilenceThatLeasesConfirmIsAFailure) {
  Zones zones;
  zones.see(well());
  EXPECT_EQ(zones.silence(seconds(6)), ZoneState::kSuspect);
  EXPECT_EQ(zones.see(silent(seconds(7))), ZoneState::kFailed);
  EXPECT_THAT(zones.health().reason, HasSubstr("2 of 2 nodes have not renewed their leases since"));
  EXPECT_EQ(zones.state("b"), ZoneState::kHealthy);
}

TEST(ZoneHealth, ANodeThatRenewsItsLeaseIsAlive) {
  Zones zones;
  zones.see(well());
  ZoneEvidence evidence = silent(seconds(100));
  evidence.renewed_nodes = evidence.renewed_in_silence = 2;
  EXPECT_EQ(zones.see_for(seconds(100), evidence), ZoneState::kSuspect) << "only our way to its agents is broken";
}

TEST(ZoneHealth, ARenewalFromBeforeTheSilenceDoesNotHoldBackAFailure) {
  Zones zones;
  zones.see(well());
  ZoneEvidence evidence = silent(seconds(7));
  evidence.renewed_nodes = 2;
  evidence.leases_for = seconds(60);  // of another zone's trouble
  EXPECT_EQ(zones.see(evidence), ZoneState::kFailed);
}

TEST(ZoneHealth, ARenewalFromBeforeTheSilenceCountsWhereKubeletsDoNotSpeakAgainstIt) {
  Zones zones;
  ZoneEvidence evidence = silent(seconds(7));
  evidence.renewed_nodes = 2;
  evidence.leases_for = seconds(60);
  evidence.answered_kubelets = 4;
  EXPECT_EQ(zones.see_for(seconds(10), evidence), ZoneState::kSuspect);
  evidence.asked_kubelets = evidence.answered_kubelets = 0;
  EXPECT_EQ(zones.see_for(seconds(10), evidence), ZoneState::kSuspect);
}

TEST(ZoneHealth, NothingFailsBeforeLeasesWereCompared) {
  Zones zones;
  ZoneEvidence evidence = silent(seconds(100));
  evidence.leases_for = evidence.leases_in_silence_for = seconds(2);
  EXPECT_EQ(zones.see_for(seconds(100), evidence), ZoneState::kSuspect);
}

TEST(ZoneHealth, KubeletsThatAnswerSpeakForTheirZoneUntilLeasesDecide) {
  Zones zones;
  ZoneEvidence evidence = silent(seconds(100));
  evidence.answered_kubelets = 3;
  EXPECT_EQ(zones.see_for(seconds(100), evidence), ZoneState::kSuspect);
  evidence.leases_for = seconds(11);
  EXPECT_EQ(zones.see(evidence), ZoneState::kFailed) << "they answered, and went away afterwards";
}

TEST(ZoneHealth, WithoutAKubeletToAskLeasesDecideAlone) {
  Zones zones;
  ZoneEvidence evidence = silent(seconds(100));
  evidence.asked_kubelets = 0;
  EXPECT_EQ(zones.see_for(seconds(100), evidence), ZoneState::kSuspect) << "most nodes may be about to renew theirs";
  evidence.leases_for = seconds(11);
  EXPECT_EQ(zones.see(evidence), ZoneState::kFailed);
}

TEST(ZoneHealth, NodesThatAreNotHeardOfConfirmSilenceAtOnce) {
  Zones zones;
  ZoneEvidence evidence = silent(seconds(3));
  evidence.unreachable_nodes = 2;
  EXPECT_EQ(zones.see(evidence), ZoneState::kFailed);
  EXPECT_THAT(zones.health().reason, HasSubstr("2 of 2 nodes are not heard of"));
}

TEST(ZoneHealth, NodesThatAreNotHeardOfDoNotMoveAgentsThatAnswer) {
  Zones zones;
  ZoneEvidence evidence = well();
  evidence.unreachable_nodes = 2;
  EXPECT_EQ(zones.see_for(seconds(300), evidence), ZoneState::kHealthy);
}

TEST(ZoneHealth, AZoneWithoutAgentsFailsWithItsNodes) {
  Zones zones;
  EXPECT_EQ(zones.see({.nodes = 3, .unreachable_nodes = 1}), ZoneState::kHealthy);
  EXPECT_EQ(zones.see({.nodes = 3, .unreachable_nodes = 2}), ZoneState::kFailed);
}

TEST(ZoneHealth, AZoneWithoutAgentsStaysWhileAgentsAnswerOnOtherNodesThatAreNotHeardOf) {
  Zones zones;
  zones.see({.nodes = 2});
  const ZoneEvidence kubelets_cut_off{.agents = 4, .nodes = 2, .unreachable_nodes = 2};
  EXPECT_EQ(zones.see({.nodes = 2, .unreachable_nodes = 2}, kubelets_cut_off), ZoneState::kHealthy);
}

TEST(ZoneHealth, AZoneWithoutAgentsWhoseNodesRenewTheirLeasesStays) {
  Zones zones;
  zones.see({.nodes = 2});
  EXPECT_EQ(zones.see({.nodes = 2, .unreachable_nodes = 2, .renewed_nodes = 2}), ZoneState::kHealthy);
}

TEST(ZoneHealth, SilenceOfEveryZoneIsOurOwnTrouble) {
  Zones zones;
  zones.see(well());
  for (int second = 0; second < 300; ++second) {
    zones.see(silent(seconds(second)), silent(seconds(second)));
    zones.pass(seconds(1));
    ASSERT_EQ(zones.state("a"), ZoneState::kHealthy);
    ASSERT_EQ(zones.state("b"), ZoneState::kHealthy);
  }
}

TEST(ZoneHealth, OtherZonesWithoutAgentsAreNoWitnesses) {
  Zones zones;
  EXPECT_EQ(zones.see(silent(seconds(60)), {.nodes = 2}), ZoneState::kHealthy);
  ZoneEvidence confirmed = silent(seconds(60));
  confirmed.unreachable_nodes = 2;
  EXPECT_EQ(zones.see(confirmed, {.nodes = 2}), ZoneState::kFailed) << "the API server confirms it";
}

TEST(ZoneHealth, LossOfTheApiServerFailsNothing) {
  Zones zones;
  zones.see(well());
  zones.api_reachable(false);
  ZoneEvidence stale = well();
  stale.unreachable_nodes = 2;  // what a cache may say for ever
  EXPECT_EQ(zones.see_for(seconds(300), stale), ZoneState::kHealthy);
  EXPECT_EQ(zones.see_for(seconds(300), silent(seconds(300))), ZoneState::kSuspect) << "and capacity stays";
}

TEST(ZoneHealth, SuspicionEndsAfterACalmTime) {
  Zones zones;
  zones.silence(seconds(4));
  EXPECT_EQ(zones.see_for(seconds(4), well()), ZoneState::kSuspect);
  EXPECT_EQ(zones.see_for(seconds(2), well()), ZoneState::kHealthy);
}

TEST(ZoneHealth, AFailedZoneComesBackInSteps) {
  Zones zones;
  zones.silence(seconds(8));
  ASSERT_EQ(zones.state(), ZoneState::kFailed);
  EXPECT_EQ(zones.see_for(seconds(6), well()), ZoneState::kRecovering);
  EXPECT_TRUE(zones.health().takes_traffic());
  EXPECT_FALSE(zones.health().takes_groups());
  EXPECT_EQ(zones.see_for(seconds(50), well()), ZoneState::kRecovering);
  EXPECT_EQ(zones.see_for(seconds(12), well()), ZoneState::kHealthy);
}

TEST(ZoneHealth, AFailedZoneWhoseGroupsAreGoneNeedsASignOfLife) {
  Zones zones;
  zones.silence(seconds(8));
  ASSERT_EQ(zones.state(), ZoneState::kFailed);
  EXPECT_EQ(zones.see_for(seconds(600), {.nodes = 2, .leases_for = seconds(60)}), ZoneState::kFailed);
  EXPECT_EQ(zones.see_for(seconds(6), {.nodes = 2, .renewed_nodes = 2}), ZoneState::kRecovering);
}

TEST(ZoneHealth, ARelapseFailsAtTheFirstSilence) {
  Zones zones;
  zones.silence(seconds(8));
  ASSERT_EQ(zones.see_for(seconds(6), well()), ZoneState::kRecovering);
  EXPECT_EQ(zones.see(silent(seconds(3))), ZoneState::kFailed);
}

TEST(ZoneHealth, UnclearEvidenceRestartsTheWaitForCalm) {
  Zones zones;
  zones.silence(seconds(8));
  ASSERT_EQ(zones.see_for(seconds(6), well()), ZoneState::kRecovering);
  zones.see_for(seconds(50), well());
  zones.see(silent(seconds(5)), silent(seconds(5)));
  EXPECT_EQ(zones.state(), ZoneState::kRecovering);
  zones.pass(seconds(1));
  EXPECT_EQ(zones.see_for(seconds(50), well()), ZoneState::kRecovering);
}

TEST(ZoneHealth, AZoneThatIsNoLongerSeenIsForgotten) {
  const TimePoint now{seconds(5)};
  ZoneHealths health = next_health({}, {{"a", well()}, {"b", well()}}, true, now);
  health = next_health(health, {{"b", well()}}, true, now);
  EXPECT_FALSE(health.contains("a"));
}

// An agent asked as the prober does: every second, and again at once after an attempt that failed; an attempt fails
// half a second after its start, and a connection that was lost in a blip stays lost.
class ProbedAgent {
 public:
  explicit ProbedAgent(milliseconds first) : next_(first) {}

  void run_until(milliseconds now, const std::vector<std::pair<milliseconds, milliseconds>>& blips) {
    while (next_ <= now) {
      const auto hit = [&](const auto& blip) { return next_ >= blip.first && next_ < blip.second; };
      if (std::any_of(blips.begin(), blips.end(), hit)) {
        failing_ = true;
        next_ += milliseconds(500);
      } else {
        failing_ = false;
        answered_ = next_;
        next_ += seconds(1);
      }
    }
  }
  bool failing() const { return failing_; }
  milliseconds silence(milliseconds now) const { return failing_ ? now - answered_ : milliseconds(0); }

 private:
  milliseconds next_;
  milliseconds answered_{0};
  bool failing_ = false;
};

TEST(ZoneHealth, AHundredBlipsOfUpToTwoSecondsChangeNothing) {
  std::mt19937 random(7);
  std::vector<std::pair<milliseconds, milliseconds>> blips;
  milliseconds at{5'000};
  for (int i = 0; i < 100; ++i) {
    const milliseconds length(1 + random() % 2'000);
    blips.push_back({at, at + length});
    at += length + milliseconds(1'500 + random() % 20'000);
  }
  std::vector<ProbedAgent> agents;
  for (int i = 0; i < 4; ++i) agents.emplace_back(milliseconds(random() % 1'000));
  ZoneHealths health;
  int seen_silent = 0;
  for (milliseconds now{1'000}; now < at; now += milliseconds(250)) {
    ZoneEvidence evidence{.agents = 4, .nodes = 2, .leases_for = seconds(60), .asked_kubelets = 4};
    std::vector<milliseconds> silences;
    for (ProbedAgent& agent : agents) {
      agent.run_until(now, blips);
      evidence.silent += agent.failing() ? 1 : 0;
      silences.push_back(agent.silence(now));
    }
    std::sort(silences.begin(), silences.end());
    evidence.silent_for = silences[2];
    seen_silent += evidence.silent_for.count() > 0 ? 1 : 0;
    health = next_health(health, {{"a", evidence}, {"b", well()}}, true, TimePoint(now));
    ASSERT_EQ(health.at("a").state, ZoneState::kHealthy) << "at " << now.count() << " ms";
  }
  EXPECT_GT(seen_silent, 100) << "the blips must have been felt";
}

}  // namespace
}  // namespace millrace::controller
