// Collectives between the ranks of one group. One Comm per rank, used by that rank's thread alone; abort() from any
// thread. All ranks call the same operations in the same order. When a peer is gone or abort() was called, every
// pending and later call throws common::Error{kUnavailable} naming the rank, on every rank: nobody waits for ever.
// Tensors are device memory of the rank's back end (host memory for the implementations here).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/backend/tensor.h"

namespace millrace::engine {

class Comm {
 public:
  virtual ~Comm() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // x = sum over ranks, F32. The result is bit-identical on all ranks, and the order of summation does not depend on
  // timing.
  virtual void all_reduce(const Tensor& x) = 0;
  // Columns of all ranks side by side: out (rows, size * x.cols) on every rank.
  virtual void all_gather(const Tensor& x, const Tensor& out) = 0;
  // As all_gather, to `root` only; `out` is ignored on the others.
  virtual void gather(const Tensor& x, const Tensor& out, int root) = 0;
  // recv[r] = what rank r sent to this rank. F32 values; sizes may differ per pair, both sides know them.
  virtual void all_to_all(std::span<const std::span<const float>> send, std::span<const std::span<float>> recv) = 0;

  // Host messages (batches, placements). broadcast: `message` is input on root and output elsewhere.
  virtual void broadcast(std::vector<std::byte>& message, int root) = 0;
  virtual void send(std::span<const std::byte> message, int to) = 0;
  virtual std::vector<std::byte> recv(int from) = 0;
  virtual void barrier() = 0;

  // Wakes everybody with kUnavailable(reason). Any thread.
  virtual void abort(const std::string& reason) = 0;
  // Empty while healthy; otherwise what every call throws, also when no operation runs. Any thread.
  virtual std::string failure() const { return {}; }
};

// A group of one: every operation is local.
std::unique_ptr<Comm> make_single_comm();

// `size` communicators for threads of this process.
std::vector<std::unique_ptr<Comm>> make_thread_comms(int size);

struct TcpEndpoint {
  std::string host;
  std::uint16_t port = 0;
};

struct TcpCommOptions {
  int rank = 0;
  std::vector<TcpEndpoint> endpoints;  // one per rank; this rank listens on endpoints[rank]
  std::uint64_t generation = 0;        // peers of another generation or another secret are refused
  std::string secret;                  // shared by the group
  int connect_timeout_ms = 60000;      // for the whole mesh
  std::stop_token stop = {};           // ends connecting within a moment, but for the look-up of a host name
  int liveness_timeout_ms =
      1500;  // a peer whose connection breaks or that is silent (heartbeats stop) this long is dead
};

// Connects a full mesh; returns when all peers are connected, throws kDeadlineExceeded naming the missing ranks, or
// kCancelled when stopped.
// A peer that dies is detected also while no operation runs: failure() says so.
std::unique_ptr<Comm> connect_tcp_comm(const TcpCommOptions& options);

}  // namespace millrace::engine
