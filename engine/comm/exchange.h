// Messages between this rank and its peers over the data connections, many at a time: sends and receives progress
// together, so that two ranks which send each other more than their sockets hold do not wait for each other.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/comm/group_failure.h"
#include "engine/comm/mesh.h"

namespace millrace::engine {

// What a message belongs to; peers must agree.
enum class Operation : std::uint32_t {
  kReduce,
  kReducePiece,
  kGatherPiece,
  kAllGather,
  kGather,
  kAllToAll,
  kMessage,
  kBarrier
};

struct Send {
  int to = 0;
  std::span<const std::byte> body;
};

struct Receive {
  int from = 0;
  std::span<std::byte> body;  // of the size that the peer sends
};

class Exchange {
 public:
  // All references outlive it. `names`: how messages call each rank.
  Exchange(int rank, const Mesh& mesh, const std::vector<std::string>& names, GroupFailure& failure);

  // Returns when everything has been sent and received. Throws kUnavailable when the group fails before.
  void run(Operation operation, std::span<const Send> sends, std::span<const Receive> receives);
  // A message whose size only the sender knows.
  std::vector<std::byte> receive_message(int from);

 private:
  static constexpr std::size_t kHeaderSize = 16;
  using Header =
      std::array<std::byte, kHeaderSize>;  // operation, number of the message on this connection, bytes of the body

  struct Outgoing {
    int peer = 0;
    Header header{};
    std::span<const std::byte> body;
    std::size_t done = 0;
    bool complete() const { return done == header.size() + body.size(); }
  };
  struct Incoming {
    int peer = 0;
    Header header{};
    std::span<std::byte> body;
    std::size_t done = 0;
    bool complete() const { return done == header.size() + body.size(); }
  };

  void finish();  // outgoing_ and incoming_
  bool progress(Outgoing& message);
  bool progress(Incoming& message);
  void wait();
  void check_header(Operation operation, const Incoming& message);
  Header make_header(Operation operation, std::uint32_t number, std::uint64_t size) const;
  [[noreturn]] void peer_is_gone(int peer);
  [[noreturn]] void give_up() const;

  int rank_;
  const Mesh& mesh_;
  const std::vector<std::string>& names_;
  GroupFailure& failure_;
  std::vector<std::uint32_t> sent_;      // messages, by peer
  std::vector<std::uint32_t> received_;  // messages, by peer
  std::vector<Outgoing> outgoing_;
  std::vector<Incoming> incoming_;
};

}  // namespace millrace::engine
