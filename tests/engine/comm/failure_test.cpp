// A rank that dies, leaves, falls silent or aborts: everybody learns of it and nobody waits for ever.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <thread>

#include "common/error.h"
#include "engine/comm/socket.h"
#include "tests/engine/comm/ranks.h"

namespace millrace::engine::test {
namespace {

using common::Code;
using common::Error;
using testing::HasSubstr;

constexpr auto kPatience = std::chrono::seconds(20);

// Polls until `comm` has failed; the reason, or "healthy" after kPatience.
std::string wait_for_failure(const Comm& comm) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (comm.failure().empty()) {
    if (std::chrono::steady_clock::now() > deadline) return "healthy";
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return comm.failure();
}

// The message of the kUnavailable that `operation` throws.
std::string failure_of(const std::function<void()>& operation) {
  try {
    operation();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUnavailable);
    return error.what();
  }
  return "no error";
}

class Failure : public testing::TestWithParam<Transport> {};

TEST_P(Failure, ARankThatLeavesEndsTheOperationsOfTheOthers) {
  on_ranks(GetParam(), 3, [](Comm& comm) {
    comm.barrier();
    if (comm.rank() == 2) return;  // destroys its Comm
    EXPECT_THAT(failure_of([&] { comm.barrier(); }), HasSubstr("rank 2"));
    EXPECT_THAT(failure_of([&] { comm.barrier(); }), HasSubstr("rank 2")) << "and every later call";
  });
}

TEST_P(Failure, AnIdleRankLearnsThatAnotherHasLeft) {
  on_ranks(GetParam(), 2, [](Comm& comm) {
    comm.barrier();
    if (comm.rank() == 0) {
      EXPECT_THAT(wait_for_failure(comm), HasSubstr("rank 1"));
    }
  });
}

TEST_P(Failure, AbortWakesEverybodyWithTheReason) {
  on_ranks(GetParam(), 3, [](Comm& comm) {
    std::future<void> aborter;
    const std::string reason = failure_of([&] {
      comm.barrier();  // the others may still be on their way out of it when they hear of the end
      if (comm.rank() == 1) aborter = std::async(std::launch::async, [&] { comm.abort("out of memory"); });
      // Rank 1 waits in an operation itself while another of its threads aborts.
      comm.recv((comm.rank() + 1) % 3);
    });
    EXPECT_THAT(reason, HasSubstr("rank 1"));
    EXPECT_THAT(reason, HasSubstr("out of memory"));
    if (aborter.valid()) aborter.get();
  });
}

TEST_P(Failure, TheLastMessageOfALeavingRankStillArrives) {
  for (int round = 0; round < 20; ++round) {
    on_ranks(GetParam(), 3, [](Comm& comm) {
      std::vector<std::byte> message(comm.rank() == 0 ? 50'000 : 0, std::byte{9});
      comm.broadcast(message, 0);  // rank 0 leaves right behind it
      EXPECT_EQ(message.size(), 50'000U);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Transports, Failure, testing::Values(Transport::kThreads, Transport::kTcp),
                         [](const auto& info) { return info.param == Transport::kTcp ? "Tcp" : "Threads"; });

// Rank 1 in a process of its own; it takes part in one barrier and then waits for ever for a message of rank 0.
class PeerProcess {
 public:
  explicit PeerProcess(const std::vector<TcpEndpoint>& endpoints, int liveness_ms = 10000) : pid_(::fork()) {
    if (pid_ != 0) return;
    try {
      TcpCommOptions options = tcp_options(endpoints, 1);
      options.liveness_timeout_ms = liveness_ms;
      const std::unique_ptr<Comm> comm = connect_tcp_comm(options);
      comm->barrier();
      comm->recv(0);
    } catch (...) {
    }
    ::_exit(0);
  }
  ~PeerProcess() {
    signal(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  void signal(int number) const { ::kill(pid_, number); }

 private:
  pid_t pid_;
};

TEST(TcpComm, AKilledPeerEndsAnOperationUnderWay) {
  const std::vector<TcpEndpoint> endpoints = loopback_endpoints(2);
  const PeerProcess peer(endpoints);
  const std::unique_ptr<Comm> comm = connect_tcp_comm(tcp_options(endpoints, 0));
  comm->barrier();
  std::future<std::string> waiting = std::async(std::launch::async, [&] { return failure_of([&] { comm->recv(1); }); });
  peer.signal(SIGKILL);
  ASSERT_EQ(waiting.wait_for(kPatience), std::future_status::ready);
  EXPECT_THAT(waiting.get(), HasSubstr("rank 1 (127.0.0.12:"));
}

TEST(TcpComm, AKilledPeerIsNoticedWhileNothingRuns) {
  const std::vector<TcpEndpoint> endpoints = loopback_endpoints(2);
  const PeerProcess peer(endpoints);
  const std::unique_ptr<Comm> comm = connect_tcp_comm(tcp_options(endpoints, 0));
  comm->barrier();
  peer.signal(SIGKILL);
  EXPECT_THAT(wait_for_failure(*comm), HasSubstr("rank 1"));
}

TEST(TcpComm, APeerThatHangsIsSilentAndThereforeDead) {
  const std::vector<TcpEndpoint> endpoints = loopback_endpoints(2);
  const PeerProcess peer(endpoints, 400);
  TcpCommOptions options = tcp_options(endpoints, 0);
  options.liveness_timeout_ms = 400;
  const std::unique_ptr<Comm> comm = connect_tcp_comm(options);
  comm->barrier();
  peer.signal(SIGSTOP);
  EXPECT_THAT(wait_for_failure(*comm), HasSubstr("rank 1"));
  EXPECT_THAT(comm->failure(), HasSubstr("silent"));
}

TEST(TcpComm, RanksThatDisagreeAboutTheOperationFailTogether) {
  on_ranks(Transport::kTcp, 2, [](Comm& comm) {
    std::vector<float> values(comm.rank() == 0 ? 8 : 16);
    const auto cols = static_cast<std::int64_t>(values.size());
    const Tensor x{reinterpret_cast<std::byte*>(values.data()), DType::kF32, 1, cols, cols};
    const std::string reason = failure_of([&] {
      comm.all_reduce(x);
      comm.barrier();
    });
    EXPECT_THAT(reason, HasSubstr("rank"));
  });
}

std::string connect_error(const TcpCommOptions& options) {
  try {
    connect_tcp_comm(options);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kDeadlineExceeded);
    return error.what();
  }
  return "connected";
}

TEST(TcpComm, TheTimeOutNamesTheMissingRanks) {
  const std::vector<TcpEndpoint> endpoints = loopback_endpoints(4);
  std::vector<std::string> errors(2);
  std::vector<std::thread> threads;
  for (const int rank : {0, 2}) {  // ranks 1 and 3 never come
    threads.emplace_back([&, rank] {
      TcpCommOptions options = tcp_options(endpoints, rank);
      options.connect_timeout_ms = 300;
      errors[static_cast<std::size_t>(rank) / 2] = connect_error(options);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& error : errors) {
    EXPECT_THAT(error, HasSubstr("rank 1 (" + endpoints[1].host));
    EXPECT_THAT(error, HasSubstr("rank 3 (" + endpoints[3].host));
  }
}

// What ranks 0 and 1 say when `change` is applied to rank 1's options.
std::vector<std::string> errors_when(const std::function<void(TcpCommOptions&)>& change) {
  const std::vector<TcpEndpoint> endpoints = loopback_endpoints(2);
  std::vector<std::string> errors(2);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      TcpCommOptions options = tcp_options(endpoints, rank);
      options.connect_timeout_ms = 500;
      if (rank == 1) change(options);
      errors[static_cast<std::size_t>(rank)] = connect_error(options);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

TEST(TcpComm, AWrongSecretIsRefusedOnBothSides) {
  const auto errors = errors_when([](TcpCommOptions& options) { options.secret = "another secret"; });
  EXPECT_THAT(errors[0], HasSubstr("another one"));
  EXPECT_THAT(errors[1], HasSubstr("another secret"));
}

TEST(TcpComm, AnotherGenerationIsRefusedOnBothSides) {
  const auto errors = errors_when([](TcpCommOptions& options) { options.generation = 8; });
  EXPECT_THAT(errors[0], HasSubstr("another generation"));
  EXPECT_THAT(errors[1], HasSubstr("it has generation 7, not 8"));
}

TEST(TcpComm, AStrangerThatConnectsHoldsNobodyUp) {
  const std::vector<TcpEndpoint> endpoints = loopback_endpoints(2);
  std::thread rank0([&] { EXPECT_NO_THROW(connect_tcp_comm(tcp_options(endpoints, 0))); });
  // A "stranger": another generation, whose first call is refused while the right rank 1 comes.
  TcpCommOptions stranger = tcp_options(endpoints, 1);
  stranger.generation = 99;
  stranger.connect_timeout_ms = 100;
  stranger.endpoints[1] = loopback_endpoints(3)[2];
  EXPECT_THAT(connect_error(stranger), HasSubstr("rank 0"));
  EXPECT_NO_THROW(connect_tcp_comm(tcp_options(endpoints, 1)));
  rank0.join();
}

// Starts rank `rank` of a group whose others stay away, stops it, and waits for its end.
std::optional<Code> code_when_stopped(const std::vector<TcpEndpoint>& endpoints, int rank) {
  std::stop_source source;
  TcpCommOptions options = tcp_options(endpoints, rank);
  options.connect_timeout_ms = 3'600'000;
  options.stop = source.get_token();
  std::optional<Code> code;
  std::thread connecting([&] {
    try {
      connect_tcp_comm(options);
    } catch (const Error& error) {
      code = error.code();
    }
  });
  source.request_stop();
  connecting.join();
  return code;
}

TEST(TcpComm, AStopEndsTheWaitForPeersThatStayAway) {
  const std::vector<TcpEndpoint> endpoints = loopback_endpoints(3);
  for (const int rank : {0, 1, 2}) EXPECT_EQ(code_when_stopped(endpoints, rank), Code::kCancelled) << rank;
}

TEST(TcpComm, AStopEndsAHandshakeThatGetsNoAnswer) {
  const std::vector<TcpEndpoint> endpoints = loopback_endpoints(2);
  const Socket silent = listen_on(endpoints[0]);  // connections are made, and nobody says a word
  EXPECT_EQ(code_when_stopped(endpoints, 1), Code::kCancelled);
}

TEST(TcpComm, ARankOutsideOfTheEndpointsIsAnArgumentError) {
  TcpCommOptions options = tcp_options(loopback_endpoints(2), 2);
  try {
    connect_tcp_comm(options);
    FAIL() << "connected";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("rank is 2; accepted: 0 to 1"));
  }
}

}  // namespace
}  // namespace millrace::engine::test
