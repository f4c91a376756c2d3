// Ranks as processes, connected by a full mesh of TCP connections. Sums are taken element by element in the order of
// ranks, on one rank or on all of them, so that the result is the same bits everywhere and does not depend on timing or
// on the way chosen.
#include <algorithm>
#include <cassert>

#include "engine/comm/comm.h"
#include "engine/comm/exchange.h"
#include "engine/comm/matrix.h"
#include "engine/comm/pulse.h"

namespace millrace::engine {
namespace {

// Up to here everybody sends everything to everybody: one message latency. Above, each rank sums one piece: less data,
// two latencies.
constexpr std::size_t kDirectReduceBytes = 64 << 10;

std::span<const std::byte> bytes_of(std::span<const float> values) {
  return std::as_bytes(values);
}
std::span<std::byte> bytes_of(std::span<float> values) {
  return std::as_writable_bytes(values);
}

// Names for messages: "rank 2 (10.0.0.3:7000)".
std::vector<std::string> rank_names(const std::vector<TcpEndpoint>& endpoints) {
  std::vector<std::string> names;
  for (const TcpEndpoint& endpoint : endpoints) {
    names.push_back("rank " + std::to_string(names.size()) + " (" + to_string(endpoint) + ")");
  }
  return names;
}

class TcpComm : public Comm {
 public:
  explicit TcpComm(const TcpCommOptions& options)
      : rank_(options.rank),
        names_(rank_names(options.endpoints)),
        mesh_(connect_mesh(options)),
        exchange_(rank_, mesh_, names_, failure_),
        pulse_(rank_, mesh_, names_, std::chrono::milliseconds(options.liveness_timeout_ms), failure_) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(names_.size()); }

  void all_reduce(const Tensor& x) override {
    const std::span<float> values = dense(x);
    values.size_bytes() <= kDirectReduceBytes || size() == 2 ? reduce_directly(values) : reduce_by_pieces(values);
    if (!is_dense(x)) copy_into_columns(values.data(), x.cols, x, 0);
  }

  void all_gather(const Tensor& x, const Tensor& out) override {
    const std::span<const float> mine = dense(x);
    received_.resize(mine.size() * names_.size());
    std::vector<Send> sends;
    std::vector<Receive> receives;
    for (int peer = 0; peer < size(); ++peer) {
      if (peer == rank_) continue;
      sends.push_back({peer, bytes_of(mine)});
      receives.push_back({peer, bytes_of(received_part(peer, mine.size()))});
    }
    exchange_.run(Operation::kAllGather, sends, receives);
    place_columns(mine, x.cols, out);
  }

  void gather(const Tensor& x, const Tensor& out, int root) override {
    const std::span<const float> mine = dense(x);
    if (rank_ != root) {
      const Send send{root, bytes_of(mine)};
      return exchange_.run(Operation::kGather, std::span(&send, 1), {});
    }
    received_.resize(mine.size() * names_.size());
    std::vector<Receive> receives;
    for (int peer = 0; peer < size(); ++peer) {
      if (peer != rank_) receives.push_back({peer, bytes_of(received_part(peer, mine.size()))});
    }
    exchange_.run(Operation::kGather, {}, receives);
    place_columns(mine, x.cols, out);
  }

  void all_to_all(std::span<const std::span<const float>> send, std::span<const std::span<float>> recv) override {
    assert(send.size() == names_.size() && recv.size() == names_.size());
    const auto self = static_cast<std::size_t>(rank_);
    std::vector<Send> sends;
    std::vector<Receive> receives;
    for (int peer = 0; peer < size(); ++peer) {
      if (peer == rank_) continue;
      sends.push_back({peer, bytes_of(send[static_cast<std::size_t>(peer)])});
      receives.push_back({peer, bytes_of(recv[static_cast<std::size_t>(peer)])});
    }
    exchange_.run(Operation::kAllToAll, sends, receives);
    std::copy(send[self].begin(), send[self].end(), recv[self].begin());
  }

  void broadcast(std::vector<std::byte>& message, int root) override {
    if (rank_ != root) {
      message = exchange_.receive_message(root);
      return;
    }
    std::vector<Send> sends;
    for (int peer = 0; peer < size(); ++peer) {
      if (peer != rank_) sends.push_back({peer, message});
    }
    exchange_.run(Operation::kMessage, sends, {});
  }

  void send(std::span<const std::byte> message, int to) override {
    const Send one{to, message};
    exchange_.run(Operation::kMessage, std::span(&one, 1), {});
  }

  std::vector<std::byte> recv(int from) override { return exchange_.receive_message(from); }

  void barrier() override {
    std::vector<Send> sends;
    std::vector<Receive> receives;
    for (int peer = 0; peer < size(); ++peer) {
      if (peer == rank_) continue;
      sends.push_back({peer, {}});
      receives.push_back({peer, {}});
    }
    exchange_.run(Operation::kBarrier, sends, receives);
  }

  void abort(const std::string& reason) override {
    failure_.fail(names_[static_cast<std::size_t>(rank_)] + " aborted: " + reason);
  }

  std::string failure() const override { return failure_.reason(); }

 private:
  // The values of `x` without gaps: in place where they have none, else in staging_.
  std::span<float> dense(const Tensor& x) {
    const auto count = static_cast<std::size_t>(x.rows * x.cols);
    if (is_dense(x)) return {row_of(x, 0), count};
    staging_.resize(count);
    for (std::int64_t row = 0; row < x.rows; ++row) {
      std::copy_n(row_of(x, row), x.cols, staging_.begin() + row * x.cols);
    }
    return staging_;
  }

  std::span<float> received_part(int peer, std::size_t count) {
    return std::span(received_).subspan(static_cast<std::size_t>(peer) * count, count);
  }

  void place_columns(std::span<const float> mine, std::int64_t cols, const Tensor& out) {
    for (int peer = 0; peer < size(); ++peer) {
      const float* part = peer == rank_ ? mine.data() : received_part(peer, mine.size()).data();
      copy_into_columns(part, cols, out, peer * cols);
    }
  }

  // values += what all other ranks hold in received_, in the order of ranks.
  void sum_in_order(std::span<float> values) {
    sum_.assign(values.size(), 0.0F);
    for (int peer = 0; peer < size(); ++peer) {
      const std::span<const float> part = peer == rank_ ? values : received_part(peer, values.size());
      if (peer == 0) {
        std::copy(part.begin(), part.end(), sum_.begin());
      } else {
        for (std::size_t i = 0; i < part.size(); ++i) sum_[i] += part[i];
      }
    }
    std::copy(sum_.begin(), sum_.end(), values.begin());
  }

  void reduce_directly(std::span<float> values) {
    received_.resize(values.size() * names_.size());
    std::vector<Send> sends;
    std::vector<Receive> receives;
    for (int peer = 0; peer < size(); ++peer) {
      if (peer == rank_) continue;
      sends.push_back({peer, bytes_of(std::span<const float>(values))});
      receives.push_back({peer, bytes_of(received_part(peer, values.size()))});
    }
    exchange_.run(Operation::kReduce, sends, receives);
    sum_in_order(values);
  }

  void reduce_by_pieces(std::span<float> values) {
    const auto piece = [&](int rank) {
      const std::size_t begin = values.size() * static_cast<std::size_t>(rank) / names_.size();
      const std::size_t end = values.size() * static_cast<std::size_t>(rank + 1) / names_.size();
      return values.subspan(begin, end - begin);
    };
    const std::span<float> mine = piece(rank_);
    received_.resize(mine.size() * names_.size());
    std::vector<Send> sends;
    std::vector<Receive> receives;
    for (int peer = 0; peer < size(); ++peer) {
      if (peer == rank_) continue;
      sends.push_back({peer, bytes_of(std::span<const float>(piece(peer)))});
      receives.push_back({peer, bytes_of(received_part(peer, mine.size()))});
    }
    exchange_.run(Operation::kReducePiece, sends, receives);
    sum_in_order(mine);

    for (Send& send : sends) send.body = bytes_of(std::span<const float>(mine));
    for (Receive& receive : receives) receive.body = bytes_of(piece(receive.from));
    exchange_.run(Operation::kGatherPiece, sends, receives);
  }

  int rank_;
  std::vector<std::string> names_;
  GroupFailure failure_;
  Mesh mesh_;
  Exchange exchange_;
  Pulse pulse_;  // last: its thread uses all the others
  std::vector<float> staging_;
  std::vector<float> received_;  // by rank
  std::vector<float> sum_;
};

}  // namespace

std::unique_ptr<Comm> connect_tcp_comm(const TcpCommOptions& options) {
  return std::make_unique<TcpComm>(options);
}

}  // namespace millrace::engine
