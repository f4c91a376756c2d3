// The life of a group, with engines that tests make fail.
#include "agent/group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "common/error.h"
#include "tests/agent/fake_engine.h"

namespace millrace::agent {
namespace {

using common::AgentPhase;
using common::GroupMembership;
using testing::HasSubstr;

GroupMembership membership(std::int64_t generation, int pods = 1) {
  GroupMembership membership{.generation = generation, .group = "g", .tensor_parallel = pods, .peers = {}};
  for (int i = 0; i < pods; ++i)
    membership.peers.push_back({.pod_index = i, .host = "127.0.0." + std::to_string(i + 1)});
  return membership;
}

// A runtime whose parts tests replace; counts what it starts.
struct Runtime {
  std::mutex mutex;
  std::condition_variable_any changed;
  FakeEngine* engine = nullptr;
  int connects = 0;
  int starts = 0;
  std::string start_fault;       // start throws it
  std::string connect_fault;     // connect throws it
  bool peers_stay_away = false;  // connect waits until it is stopped
  bool leader_stopped = false;
  bool aborted = false;

  // Follows until the leader stops or somebody aborts.
  class Comm;

  GroupRuntime make() {
    return {.connect = [this](const GroupRuntime::ConnectRequest& request) { return connect(request.stop); },
            .start = [this](const auto&, const auto&, Comms) { return start(); },
            .follow = [this](const auto&, const auto&, Comms, const auto& on_ready) { follow(on_ready); }};
  }

  Comms connect(const std::stop_token& stop);

  std::unique_ptr<engine::Engine> start() {
    const std::lock_guard lock(mutex);
    ++starts;
    if (!start_fault.empty()) throw common::Error(common::Code::kDataLoss, start_fault);
    auto made = std::make_unique<FakeEngine>([](const engine::Request&) { return std::vector<engine::TokenEvent>{}; });
    engine = made.get();
    return made;
  }

  void follow(const std::function<void()>& on_ready) {
    on_ready();
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return leader_stopped || aborted; });
    if (aborted) throw common::Error(common::Code::kUnavailable, "rank 0 is gone");
  }

  void set(const std::function<void()>& change) {
    const std::lock_guard lock(mutex);
    change();
    changed.notify_all();
  }
};

class Runtime::Comm : public engine::Comm {
 public:
  explicit Comm(Runtime& runtime) : runtime_(runtime) {}
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_reduce(const engine::Tensor&) override {}
  void all_gather(const engine::Tensor&, const engine::Tensor&) override {}
  void gather(const engine::Tensor&, const engine::Tensor&, int) override {}
  void all_to_all(std::span<const std::span<const float>>, std::span<const std::span<float>>) override {}
  void broadcast(std::vector<std::byte>&, int) override {}
  void send(std::span<const std::byte>, int) override {}
  std::vector<std::byte> recv(int) override { return {}; }
  void barrier() override {}
  void abort(const std::string&) override {
    runtime_.set([this] { runtime_.aborted = true; });
  }

 private:
  Runtime& runtime_;
};

Comms Runtime::connect(const std::stop_token& stop) {
  std::unique_lock lock(mutex);
  ++connects;
  aborted = false;
  changed.notify_all();
  if (peers_stay_away) {
    changed.wait(lock, stop, [] { return false; });
    throw common::Error(common::Code::kCancelled, "stopped");
  }
  if (!connect_fault.empty()) {
    changed.wait_for(lock, std::chrono::milliseconds(20), [this] { return connect_fault.empty(); });
    throw common::Error(common::Code::kDeadlineExceeded, "rank 1 did not connect");
  }
  Comms comms;
  comms.push_back(std::make_unique<Comm>(*this));
  return comms;
}

struct Fixture {
  explicit Fixture(std::int32_t pod_index = 0)
      : group(
            [&] {
              GroupOptions options;
              options.pod_index = pod_index;
              options.connect_limit = std::chrono::milliseconds(200);
              options.failure_poll = std::chrono::milliseconds(5);
              return options;
            }(),
            runtime.make(), slot) {}
  ~Fixture() {
    runtime.set([this] { runtime.connect_fault.clear(); });
    group.shutdown(std::chrono::milliseconds(0));
  }

  // Waits until the group is in `phase` of `generation`.
  Group::State wait_for(AgentPhase phase, std::int64_t generation = 1) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    Group::State state = group.state();
    while ((state.phase != phase || state.generation != generation) && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
      state = group.state();
    }
    EXPECT_EQ(to_string(state.phase), to_string(phase)) << state.message;
    EXPECT_EQ(state.generation, generation);
    return state;
  }

  Runtime runtime;
  EngineSlot slot;
  Group group;
};

TEST(Membership, FaultsSayWhatDoesNotFit) {
  auto wrong = membership(1, 2);
  wrong.tensor_parallel = 4;
  EXPECT_THAT(membership_fault(wrong, 0), HasSubstr("have 2 ranks; make them equal"));
  wrong = membership(1, 4);
  wrong.expert_parallel = 3;
  EXPECT_THAT(membership_fault(wrong, 0), HasSubstr("expected a divisor of tensor_parallel 4"));
  EXPECT_THAT(membership_fault(membership(1, 2), 2), HasSubstr("but this is pod 2"));
  EXPECT_EQ(membership_fault(membership(1, 2), 1), "");
}

TEST(Membership, RanksAreLaidOutPodByPod) {
  auto two = membership(1, 2);
  two.ranks_per_pod = 2;
  const auto endpoints = rank_endpoints(two, 9000);
  ASSERT_EQ(endpoints.size(), 4U);
  EXPECT_EQ(endpoints[2].host, "127.0.0.2");
  EXPECT_EQ(endpoints[2].port, 9000);
  EXPECT_EQ(endpoints[3].port, 9001);
}

TEST(Group, WaitsForAMembershipAndThenServes) {
  Fixture f;
  EXPECT_EQ(f.group.state().phase, AgentPhase::kWaitingForGroup);
  f.group.set_membership(membership(1));
  const Group::State state = f.wait_for(AgentPhase::kServing);
  EXPECT_TRUE(state.leader);
  EXPECT_EQ(state.load_progress, 1.0);
  EXPECT_TRUE(f.slot.use([](engine::Engine&) {}));
}

TEST(Group, TheSameGenerationAgainChangesNothing) {
  Fixture f;
  f.group.set_membership(membership(1));
  f.wait_for(AgentPhase::kServing);
  f.group.set_membership(membership(1));
  auto other = membership(1);
  other.peers[0].host = "127.0.0.9";
  EXPECT_THROW(f.group.set_membership(other), common::Error);
  EXPECT_THROW(f.group.set_membership(membership(0)), common::Error);
  EXPECT_EQ(f.group.state().phase, AgentPhase::kServing);
  EXPECT_EQ(f.runtime.starts, 1);
}

TEST(Group, ANewGenerationStartsANewEngine) {
  Fixture f;
  f.group.set_membership(membership(1));
  f.wait_for(AgentPhase::kServing);
  f.group.set_membership(membership(2));
  f.wait_for(AgentPhase::kServing, 2);
  EXPECT_EQ(f.runtime.starts, 2);
}

TEST(Group, AFailedEngineShowsAtOnceAndTheNextGenerationCuresIt) {
  Fixture f;
  f.group.set_membership(membership(1));
  f.wait_for(AgentPhase::kServing);
  f.runtime.engine->fail("rank 1 is gone");
  EXPECT_EQ(f.group.state().phase, AgentPhase::kFailed) << "without waiting for the next look";
  EXPECT_EQ(f.group.state().message, "rank 1 is gone");
  f.group.set_membership(membership(2));
  f.wait_for(AgentPhase::kServing, 2);
}

TEST(Group, AModelThatCannotBeLoadedIsAFailureWithItsReason) {
  Fixture f;
  f.runtime.start_fault = "model.safetensors is truncated";
  f.group.set_membership(membership(1));
  EXPECT_EQ(f.wait_for(AgentPhase::kFailed).message, "model.safetensors is truncated");
  f.runtime.set([&] { f.runtime.start_fault.clear(); });
  f.group.set_membership(membership(2));
  f.wait_for(AgentPhase::kServing, 2);
}

TEST(Group, TriesAgainWhilePeersAreMissing) {
  Fixture f;
  f.runtime.connect_fault = "rank 1 did not connect";
  f.group.set_membership(membership(1, 2));
  {
    std::unique_lock lock(f.runtime.mutex);
    ASSERT_TRUE(f.runtime.changed.wait_for(lock, kPatience, [&] { return f.runtime.connects >= 2; }));
    f.runtime.connect_fault.clear();
  }
  f.wait_for(AgentPhase::kServing);
}

// Waits until the group is connecting for the `count`th time.
void wait_for_connects(Fixture& f, int count) {
  std::unique_lock lock(f.runtime.mutex);
  ASSERT_TRUE(f.runtime.changed.wait_for(lock, kPatience, [&] { return f.runtime.connects >= count; }));
}

TEST(Group, AShutdownDoesNotWaitForPeers) {
  Fixture f;
  f.runtime.peers_stay_away = true;
  f.group.set_membership(membership(1, 2));
  wait_for_connects(f, 1);
  f.group.shutdown(std::chrono::milliseconds(0));  // returns
  EXPECT_EQ(f.runtime.starts, 0);
}

TEST(Group, ANewerGenerationDoesNotWaitForThePeersOfTheOlder) {
  Fixture f;
  f.runtime.peers_stay_away = true;
  f.group.set_membership(membership(1, 2));
  wait_for_connects(f, 1);
  f.runtime.set([&] { f.runtime.peers_stay_away = false; });
  f.group.set_membership(membership(2, 2));
  f.wait_for(AgentPhase::kServing, 2);
}

TEST(Group, GivesUpWhenPeersStayAway) {
  Fixture f;
  f.runtime.connect_fault = "rank 1 did not connect";
  f.group.set_membership(membership(1, 2));
  EXPECT_EQ(f.wait_for(AgentPhase::kFailed).message, "rank 1 did not connect");
}

TEST(Group, AFollowerServesUntilItsLeaderStops) {
  Fixture f(1);
  f.group.set_membership(membership(1, 2));
  EXPECT_FALSE(f.wait_for(AgentPhase::kServing).leader);
  f.runtime.set([&] { f.runtime.leader_stopped = true; });
  EXPECT_THAT(f.wait_for(AgentPhase::kFailed).message, HasSubstr("the leader has stopped"));
}

TEST(Group, AFollowerIsWokenByANewGeneration) {
  Fixture f(1);
  f.group.set_membership(membership(1, 2));
  f.wait_for(AgentPhase::kServing);
  f.group.set_membership(membership(2, 2));
  f.wait_for(AgentPhase::kServing, 2);
}

TEST(Group, AFollowerEndsWithoutItsLeaderAfterTheGrace) {
  Fixture f(1);
  f.group.set_membership(membership(1, 2));
  f.wait_for(AgentPhase::kServing);
  f.group.shutdown(std::chrono::milliseconds(20));
}

}  // namespace
}  // namespace millrace::agent
