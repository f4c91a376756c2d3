// A whole upgrade while 200 clients stream without a pause. Time is simulated; cluster, kubelet, agents, the router and
// the clients are played, the operator's reconciler is the real one.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "tests/operator/reconcile/world.h"

namespace millrace::controller {
namespace {

using std::chrono::milliseconds;
using testing::World;

constexpr int kClients = 200;
constexpr milliseconds kTick{1'000};
constexpr milliseconds kLoadTime{20'000};  // until an agent has read the weights
constexpr milliseconds kNewsTime{1'000};   // until the router knows of a change of a gate

// Where one client's answer comes from, and when it ends.
struct Stream {
  std::string pod_uid;
  TimePoint ends;
};

// What the router believes: it hears of every change, but late.
class Router {
 public:
  void see(const std::vector<kube::Object>& pods, TimePoint now) {
    std::set<std::string> open;
    for (const kube::Object& pod : pods) {
      if (World::is_routable(pod) && !pod.is_deleted()) open.insert(pod.uid());
    }
    if (news_.empty() || news_.back().second != open) news_.emplace_back(now, open);
    while (news_.size() > 1 && now - news_[1].first >= kNewsTime) news_.erase(news_.begin());
  }
  std::vector<std::string> targets() const {
    return news_.empty() ? std::vector<std::string>{}
                         : std::vector<std::string>(news_.front().second.begin(), news_.front().second.end());
  }

 private:
  std::vector<std::pair<TimePoint, std::set<std::string>>> news_;
};

class Upgrade {
 public:
  explicit Upgrade(const Json& rollout) : rollout_(rollout) { world_.apply(spec("one")); }

  // Rounds until the deployment is ready and quiet; false when that takes too long.
  bool run_until_ready() {
    for (int round = 0; round < 40'000; ++round) {
      tick();
      if (world_.condition("Ready") == "True" && ready_generation()) return true;
    }
    return false;
  }

  void start_clients() {
    for (TimePoint since = world_.now; world_.now - since <= kNewsTime; tick()) {
    }
    streams_.resize(kClients);
  }
  void ask_for(const std::string& model_revision) { world_.apply(spec(model_revision)); }

  int cut = 0;     // streams that ended with their pod
  int failed = 0;  // requests that found nobody, or an agent that takes no more
  int finished = 0;
  std::size_t most_pods = 0;

  World& world() { return world_; }

 private:
  Json spec(const std::string& model_revision) const {
    return {{"replicas", 4},
            {"model", {{"revision", model_revision}}},
            {"drain", {{"timeoutSeconds", 3600}}},
            {"rollout", rollout_}};
  }

  bool ready_generation() {
    const kube::Object object = world_.deployment();
    return object.int_at("/status/observedGeneration") == object.generation();
  }

  void tick() {
    world_.reconcile();
    world_.run_pods();
    const std::vector<kube::Object> pods = world_.pods();
    most_pods = std::max(most_pods, pods.size());
    router_.see(pods, world_.now);
    play_agents(pods);
    play_clients(pods);
    world_.now += kTick;
  }

  void play_agents(const std::vector<kube::Object>& pods) {
    for (const kube::Object& pod : pods) {
      if (pod.string_at("/status/podIP").empty()) continue;
      const TimePoint begun = began_.try_emplace(pod.uid(), world_.now).first->second;
      AgentEvidence& evidence = world_.probe.known[pod.uid()];
      evidence.answered = true;
      evidence.status.in_flight = in_flight(pod.uid());
      if (world_.probe.is_draining(pod.label(kGroupLabel).value_or(""))) {
        evidence.status.phase = common::AgentPhase::kDraining;
      } else {
        const bool loaded = world_.now - begun >= kLoadTime;
        evidence.status.phase = loaded ? common::AgentPhase::kServing : common::AgentPhase::kLoading;
      }
    }
  }

  std::int64_t in_flight(const std::string& uid) const {
    return std::count_if(streams_.begin(), streams_.end(), [&](const Stream& stream) { return stream.pod_uid == uid; });
  }

  void play_clients(const std::vector<kube::Object>& pods) {
    std::set<std::string> alive;
    for (const kube::Object& pod : pods) {
      if (!pod.is_deleted()) alive.insert(pod.uid());
    }
    for (Stream& stream : streams_) {
      if (!stream.pod_uid.empty() && !alive.contains(stream.pod_uid)) {
        ++cut;
        stream.pod_uid.clear();
      }
      if (!stream.pod_uid.empty() && stream.ends <= world_.now) {
        ++finished;
        stream.pod_uid.clear();
      }
      if (stream.pod_uid.empty()) ask(stream, alive);
    }
  }

  void ask(Stream& stream, const std::set<std::string>& alive) {
    const std::vector<std::string> targets = router_.targets();
    if (targets.empty()) {
      ++failed;
      return;
    }
    const std::string& uid = targets[random_() % targets.size()];
    if (!alive.contains(uid) || world_.probe.known[uid].status.phase != common::AgentPhase::kServing) {
      ++failed;
      return;
    }
    stream.pod_uid = uid;
    stream.ends = world_.now + std::chrono::seconds(30 + static_cast<int>(random_() % 120));
  }

  World world_;
  const Json rollout_;
  Router router_;
  std::vector<Stream> streams_;
  std::map<std::string, TimePoint> began_;  // agents, by pod
  std::mt19937 random_{42};
};

void upgrade_under_load(const Json& rollout, std::size_t most_pods) {
  Upgrade upgrade(rollout);
  ASSERT_TRUE(upgrade.run_until_ready());
  upgrade.start_clients();
  const Json before = upgrade.world().deployment().at("/status/currentRevision");
  upgrade.ask_for("two");
  ASSERT_TRUE(upgrade.run_until_ready());
  EXPECT_NE(upgrade.world().deployment().at("/status/currentRevision"), before);
  EXPECT_EQ(upgrade.cut, 0);
  EXPECT_EQ(upgrade.failed, 0);
  EXPECT_GT(upgrade.finished, kClients) << "the upgrade was over before it could hurt anybody";
  EXPECT_LE(upgrade.most_pods, most_pods);
}

TEST(UpgradeUnderLoad, CutsNoStreamAndFailsNoRequestWithOneGroupOfSurge) {
  upgrade_under_load(Json::object(), 5);
}

TEST(UpgradeUnderLoad, CutsNoStreamAndFailsNoRequestWithoutASpareDevice) {
  upgrade_under_load({{"maxSurge", 0}, {"maxUnavailable", 1}}, 4);
}

}  // namespace
}  // namespace millrace::controller
