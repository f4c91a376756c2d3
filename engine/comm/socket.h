// Stream sockets with deadlines. Errors are common::Error{kUnavailable} with the endpoint and the reason of the system.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>

#include "engine/comm/comm.h"

namespace millrace::engine {

using Clock = std::chrono::steady_clock;

std::string to_string(const TcpEndpoint& endpoint);  // "host:port"

// Milliseconds until `deadline` for poll(): 0 when it has passed, rounded up.
int poll_timeout(Clock::time_point deadline);

// How long an operation may wait: until a moment, or until it is told to stop, which ends it with kCancelled.
struct Deadline {
  Clock::time_point at;
  std::stop_token stop = {};
};

// Owns a descriptor.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket();
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

  // Both throw when the peer closes, the connection breaks or the deadline passes.
  void write_all(std::span<const std::byte> data, const Deadline& deadline) const;
  void read_all(std::span<std::byte> data, const Deadline& deadline) const;

 private:
  int fd_ = -1;
};

// All sockets below do not block.
Socket listen_on(const TcpEndpoint& endpoint);
Socket connect_to(const TcpEndpoint& endpoint, const Deadline& deadline);
std::optional<Socket> accept_from(const Socket& listener);  // empty when nobody waits

}  // namespace millrace::engine
