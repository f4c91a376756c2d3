// A rank of a group over TCP dies at the very switch to a new placement of experts: its connections break as those of a
// killed process do. No token of a mixed placement may come out, nobody may wait for ever, and the group must come
// back.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <thread>

#include "common/error.h"
#include "engine/runtime/command.h"
#include "tests/engine/comm/ranks.h"
#include "tests/engine/runtime/engine_fixture.h"

namespace millrace::engine {
namespace {

using common::Code;
using common::Error;

constexpr int kRanks = 4;

struct Death {
  const char* name;
  int rank;
  bool after;  // the rank has switched; else it has not
};

void PrintTo(const Death& death, std::ostream* out) {
  *out << death.name;
}

// A communicator whose process ends when the ranks are told to switch.
class DyingComm final : public Comm {
 public:
  DyingComm(std::unique_ptr<Comm> inner, bool after) : after_(after), inner_(std::move(inner)), rank_(inner_->rank()) {}

  int rank() const override { return rank_; }
  int size() const override { return kRanks; }
  void all_reduce(const Tensor& x) override { alive()->all_reduce(x); }
  void all_gather(const Tensor& x, const Tensor& out) override { alive()->all_gather(x, out); }
  void gather(const Tensor& x, const Tensor& out, int root) override { alive()->gather(x, out, root); }
  void all_to_all(std::span<const std::span<const float>> send, std::span<const std::span<float>> recv) override {
    alive()->all_to_all(send, recv);
  }
  void send(std::span<const std::byte> message, int to) override { alive()->send(message, to); }
  std::vector<std::byte> recv(int from) override { return alive()->recv(from); }
  void barrier() override { alive()->barrier(); }

  void broadcast(std::vector<std::byte>& message, int root) override {
    if (rank() == root && is_switch(message) && !after_) die();
    alive()->broadcast(message, root);
    if (!is_switch(message)) return;
    if (!after_) die();
    doomed_ = true;  // at the next word with the others
  }

  void abort(const std::string& reason) override {
    if (const auto inner = current()) inner->abort(reason);
  }
  std::string failure() const override {
    const auto inner = current();
    return inner ? inner->failure() : "this process has died";
  }

 private:
  static bool is_switch(const std::vector<std::byte>& message) {
    return std::holds_alternative<CommitPlacement>(decode_command(message));
  }
  std::shared_ptr<Comm> current() const {
    const std::lock_guard lock(mutex_);
    return inner_;
  }
  std::shared_ptr<Comm> alive() {
    if (doomed_) die();
    if (auto inner = current()) return inner;
    throw Error(Code::kUnavailable, "this process has died");
  }
  [[noreturn]] void die() {
    {
      const std::lock_guard lock(mutex_);
      inner_.reset();
    }
    throw Error(Code::kUnavailable, "this process has died");
  }

  const bool after_;
  mutable std::mutex mutex_;
  std::shared_ptr<Comm> inner_;  // shared: another thread may be aborting it
  const int rank_;
  bool doomed_ = false;
};

// The processes of a group.
class Generation {
 public:
  Generation(std::uint64_t number, const Death* death) {
    const std::vector<TcpEndpoint> endpoints = test::loopback_endpoints(kRanks);
    const auto connect = [=](int rank) {
      TcpCommOptions tcp = test::tcp_options(endpoints, rank);
      tcp.generation = number;
      tcp.connect_timeout_ms = 30'000;
      std::vector<std::unique_ptr<Comm>> comms;
      comms.push_back(connect_tcp_comm(tcp));
      if (death != nullptr && death->rank == rank)
        comms[0] = std::make_unique<DyingComm>(std::move(comms[0]), death->after);
      return comms;
    };
    for (int rank = 1; rank < kRanks; ++rank) {
      followers_.emplace_back([this, connect, rank] {
        try {
          follow(options(kRanks), kTokens, connect(rank), [] {});
        } catch (const Error& error) {
          faults_[static_cast<std::size_t>(rank)] = error.what();
        }
      });
    }
    leader_ = start_engine(options(kRanks), kTokens, connect(0));
  }
  ~Generation() { end(); }

  Engine& leader() { return *leader_; }

  // Returns when every process has ended.
  void end() {
    leader_.reset();
    followers_.clear();
  }
  // Of a follower; empty when it was told to stop.
  const std::string& fault(int rank) const { return faults_[static_cast<std::size_t>(rank)]; }

 private:
  std::array<std::string, kRanks> faults_;
  std::vector<std::jthread> followers_;
  std::unique_ptr<Engine> leader_;
};

class ExpertSwitch : public EngineTest, public ::testing::WithParamInterface<Death> {};

TEST_P(ExpertSwitch, OfWhichARankDiesEndsTheGroupAndTheNextGenerationServes) {
  const std::vector<TokenId> wanted = ask(*start(1), 2, 450);
  Generation first(1, &GetParam());
  ExpertPlacement next = first.leader().expert_placement();
  const ExpertPlacement initial = next;
  ++next.number;
  for (auto& row : next.slots) std::rotate(row.begin(), row.begin() + next.slots_per_rank, row.end());
  Answer during;
  first.leader().submit(request(2, 450), during.sink());
  ASSERT_TRUE(during.wait_tokens(5));
  const auto move = first.leader().move_experts(next, {});
  EXPECT_EQ(during.wait(), FinishReason::kError);
  EXPECT_NE(during.message(), "");
  EXPECT_NE(first.leader().failure(), "");
  const std::vector<TokenId> seen = during.tokens();
  ASSERT_LT(seen.size(), wanted.size());
  EXPECT_TRUE(std::equal(seen.begin(), seen.end(), wanted.begin())) << "a token of neither placement";
  EXPECT_EQ(move.wait_for(kPatience), std::future_status::ready);
  first.end();
  for (int rank = 1; rank < kRanks; ++rank) EXPECT_NE(first.fault(rank), "") << "rank " << rank;

  Generation second(2, nullptr);
  EXPECT_EQ(second.leader().expert_placement(), initial);
  EXPECT_EQ(ask(second.leader(), 2, 40), std::vector<TokenId>(wanted.begin(), wanted.begin() + 40));
}

INSTANTIATE_TEST_SUITE_P(Deaths, ExpertSwitch,
                         ::testing::Values(Death{"FollowerBefore", 2, false}, Death{"FollowerAfter", 2, true},
                                           Death{"LeaderBefore", 0, false}, Death{"LeaderAfter", 0, true}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace millrace::engine
