// Every operation on every transport and number of ranks.
#include <gtest/gtest.h>

#include <cstring>
#include <mutex>
#include <numeric>
#include <random>

#include "tests/engine/comm/ranks.h"

namespace millrace::engine::test {
namespace {

struct Group {
  Transport transport;
  int size;
};

class Collectives : public testing::TestWithParam<Group> {
 protected:
  void run(const std::function<void(Comm&)>& rank) { on_ranks(GetParam().transport, GetParam().size, rank); }
  int size() const { return GetParam().size; }
};

// A matrix whose rows lie `stride` apart.
struct Matrix {
  Matrix(std::int64_t rows, std::int64_t cols, std::int64_t stride)
      : values(static_cast<std::size_t>(rows * stride), -1.0F), rows(rows), cols(cols), stride(stride) {}

  Tensor view() { return {reinterpret_cast<std::byte*>(values.data()), DType::kF32, rows, cols, stride}; }
  float& at(std::int64_t row, std::int64_t col) { return values[static_cast<std::size_t>(row * stride + col)]; }

  std::vector<float> values;
  std::int64_t rows, cols, stride;
};

float value_of(int rank, std::int64_t row, std::int64_t col) {
  return static_cast<float>(1000 * (rank + 1) + 10 * row + col);
}

Matrix filled(int rank, std::int64_t rows, std::int64_t cols, std::int64_t stride) {
  Matrix matrix(rows, cols, stride);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t col = 0; col < cols; ++col) matrix.at(row, col) = value_of(rank, row, col);
  }
  return matrix;
}

std::vector<float> random_values(int rank, std::size_t count) {
  std::mt19937 random(static_cast<unsigned>(rank) + 5);
  std::uniform_real_distribution<float> distribution(-1.0F, 1.0F);
  std::vector<float> values(count);
  for (float& value : values) value = distribution(random);
  return values;
}

std::vector<std::byte> message_of(const std::string& text) {
  std::vector<std::byte> message(text.size());
  std::memcpy(message.data(), text.data(), text.size());
  return message;
}

std::string text_of(const std::vector<std::byte>& message) {
  return std::string(reinterpret_cast<const char*>(message.data()), message.size());
}

TEST_P(Collectives, AllReduceSumsInTheOrderOfRanks) {
  // Both ways of the TCP transport, and sizes that the ranks do not divide.
  for (const std::size_t count : {std::size_t{1}, std::size_t{5}, std::size_t{4097}, std::size_t{200'003}}) {
    std::vector<float> expected = random_values(0, count);
    for (int rank = 1; rank < size(); ++rank) {
      const std::vector<float> values = random_values(rank, count);
      for (std::size_t i = 0; i < count; ++i) expected[i] += values[i];
    }
    run([&](Comm& comm) {
      std::vector<float> values = random_values(comm.rank(), count);
      const auto cols = static_cast<std::int64_t>(count);
      comm.all_reduce({reinterpret_cast<std::byte*>(values.data()), DType::kF32, 1, cols, cols});
      EXPECT_EQ(values, expected) << count << " values on rank " << comm.rank();
    });
  }
}

TEST_P(Collectives, AllReduceLeavesTheGapsBetweenRowsAlone) {
  run([&](Comm& comm) {
    Matrix x = filled(comm.rank(), 3, 5, 8);
    comm.all_reduce(x.view());
    for (std::int64_t row = 0; row < 3; ++row) {
      for (std::int64_t col = 0; col < 5; ++col) {
        float sum = 0.0F;
        for (int rank = 0; rank < size(); ++rank) sum += value_of(rank, row, col);
        EXPECT_EQ(x.at(row, col), sum);
      }
      EXPECT_EQ(x.at(row, 5), -1.0F);
    }
  });
}

TEST_P(Collectives, AllGatherPutsTheColumnsOfAllRanksSideBySide) {
  run([&](Comm& comm) {
    Matrix x = filled(comm.rank(), 4, 3, 7);
    Matrix out(4, 3 * size(), 3 * size() + 2);
    comm.all_gather(x.view(), out.view());
    for (int rank = 0; rank < size(); ++rank) {
      for (std::int64_t row = 0; row < 4; ++row) {
        for (std::int64_t col = 0; col < 3; ++col) EXPECT_EQ(out.at(row, rank * 3 + col), value_of(rank, row, col));
      }
    }
  });
}

TEST_P(Collectives, GatherFillsOnlyTheRoot) {
  const int root = size() - 1;
  run([&](Comm& comm) {
    Matrix x = filled(comm.rank(), 2, 6, 6);
    Matrix out(2, 6 * size(), 6 * size());
    comm.gather(x.view(), comm.rank() == root ? out.view() : Tensor{}, root);
    if (comm.rank() != root) {
      EXPECT_EQ(out.at(0, 0), -1.0F);
      return;
    }
    for (int rank = 0; rank < size(); ++rank) EXPECT_EQ(out.at(1, rank * 6 + 5), value_of(rank, 1, 5));
  });
}

TEST_P(Collectives, AllToAllMovesSizesThatDifferPerPair) {
  // Rank a sends 1000 * a + b values to rank b, all equal to 10 * a + b; rank 0 sends nothing to itself.
  const auto count = [](int from, int to) { return static_cast<std::size_t>(1000 * from + to); };
  run([&](Comm& comm) {
    std::vector<std::vector<float>> out, in;
    std::vector<std::span<const float>> send;
    std::vector<std::span<float>> recv;
    for (int peer = 0; peer < size(); ++peer) {
      out.emplace_back(count(comm.rank(), peer), static_cast<float>(10 * comm.rank() + peer));
      in.emplace_back(count(peer, comm.rank()), -1.0F);
    }
    for (auto& values : out) send.emplace_back(values);
    for (auto& values : in) recv.emplace_back(values);
    comm.all_to_all(send, recv);
    for (int peer = 0; peer < size(); ++peer) {
      const std::vector<float> expected(count(peer, comm.rank()), static_cast<float>(10 * peer + comm.rank()));
      EXPECT_EQ(in[static_cast<std::size_t>(peer)], expected);
    }
  });
}

TEST_P(Collectives, BroadcastReachesEveryRankFromAnyRoot) {
  run([&](Comm& comm) {
    for (int root = 0; root < size(); ++root) {
      const std::string text = "from " + std::to_string(root) + std::string(100'000, 'x');
      std::vector<std::byte> message = comm.rank() == root ? message_of(text) : message_of("something else");
      comm.broadcast(message, root);
      EXPECT_EQ(text_of(message), text);
    }
    std::vector<std::byte> empty = comm.rank() == 0 ? std::vector<std::byte>{} : message_of("not empty");
    comm.broadcast(empty, 0);
    EXPECT_TRUE(empty.empty());
  });
}

TEST_P(Collectives, MessagesArriveInTheOrderOfSending) {
  run([&](Comm& comm) {
    const int next = (comm.rank() + 1) % size();
    const int previous = (comm.rank() + size() - 1) % size();
    for (int i = 0; i < 3; ++i) comm.send(message_of(std::to_string(comm.rank()) + " " + std::to_string(i)), next);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(text_of(comm.recv(previous)), std::to_string(previous) + " " + std::to_string(i));
    }
  });
}

TEST_P(Collectives, LargeExchangesInBothDirectionsDoNotBlockEachOther) {
  constexpr std::size_t kCount = 3'000'000;  // 12 MB per pair, more than sockets hold
  run([&](Comm& comm) {
    const std::vector<float> mine(kCount, static_cast<float>(comm.rank()));
    std::vector<std::vector<float>> in(static_cast<std::size_t>(size()), std::vector<float>(kCount));
    std::vector<std::span<const float>> send(static_cast<std::size_t>(size()), mine);
    std::vector<std::span<float>> recv(in.begin(), in.end());
    comm.all_to_all(send, recv);
    for (int peer = 0; peer < size(); ++peer) {
      EXPECT_EQ(in[static_cast<std::size_t>(peer)].back(), static_cast<float>(peer));
    }
  });
}

TEST_P(Collectives, TheBarrierHoldsUntilAllHaveCome) {
  std::mutex mutex;
  int arrived = 0;
  run([&](Comm& comm) {
    for (int round = 1; round <= 20; ++round) {
      {
        const std::lock_guard lock(mutex);
        ++arrived;
      }
      comm.barrier();
      {
        const std::lock_guard lock(mutex);
        EXPECT_GE(arrived, round * size());
      }
      comm.barrier();
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Groups, Collectives,
                         testing::Values(Group{Transport::kThreads, 2}, Group{Transport::kThreads, 3},
                                         Group{Transport::kThreads, 4}, Group{Transport::kTcp, 2},
                                         Group{Transport::kTcp, 3}, Group{Transport::kTcp, 4}),
                         [](const auto& info) {
                           return std::string(info.param.transport == Transport::kTcp ? "Tcp" : "Threads") +
                                  std::to_string(info.param.size);
                         });

TEST(SingleComm, LeavesEverythingAsItIs) {
  const std::unique_ptr<Comm> comm = make_single_comm();
  Matrix x = filled(0, 2, 3, 4);
  Matrix out(2, 3, 3);
  comm->all_reduce(x.view());
  comm->all_gather(x.view(), out.view());
  EXPECT_EQ(out.at(1, 2), value_of(0, 1, 2));
  std::vector<std::byte> message = message_of("kept");
  comm->broadcast(message, 0);
  EXPECT_EQ(text_of(message), "kept");
  comm->send(message, 0);
  EXPECT_EQ(text_of(comm->recv(0)), "kept");
  comm->barrier();
}

}  // namespace
}  // namespace millrace::engine::test
