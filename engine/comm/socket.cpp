#include "engine/comm/socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "common/error.h"

namespace millrace::engine {
namespace {

constexpr int kBacklog = 128;
constexpr auto kTick = std::chrono::milliseconds(100);

[[noreturn]] void fail(const std::string& what) {
  throw common::Error(common::Code::kUnavailable, what);
}

std::string system_reason(int error) {
  return std::strerror(error);
}

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Addresses resolve(const TcpEndpoint& endpoint, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &found);
  if (error != 0) fail(to_string(endpoint) + " cannot be resolved: " + ::gai_strerror(error));
  return Addresses(found, &::freeaddrinfo);
}

Socket open_for(const addrinfo& address) {
  Socket socket(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, address.ai_protocol));
  if (!socket.is_open()) fail("no socket: " + system_reason(errno));
  return socket;
}

void send_small_messages_at_once(const Socket& socket) {
  const int on = 1;
  ::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

// poll() knows no stop token, so it looks up from time to time.
void wait_for(const Socket& socket, short events, const Deadline& deadline) {
  pollfd entry{socket.fd(), events, 0};
  while (true) {
    if (deadline.stop.stop_requested()) throw common::Error(common::Code::kCancelled, "stopped");
    const auto look_up = deadline.stop.stop_possible() ? Clock::now() + kTick : deadline.at;
    const int ready = ::poll(&entry, 1, poll_timeout(std::min(deadline.at, look_up)));
    if (ready > 0) return;
    if (ready == 0 && Clock::now() >= deadline.at) fail("no answer in time");
    if (ready < 0 && errno != EINTR) fail("poll: " + system_reason(errno));
  }
}

bool would_block() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

}  // namespace

std::string to_string(const TcpEndpoint& endpoint) {
  return endpoint.host + ":" + std::to_string(endpoint.port);
}

int poll_timeout(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return left <= 0 ? 0 : static_cast<int>(left);
}

Socket::~Socket() {
  if (fd_ >= 0) ::close(fd_);
}

void Socket::write_all(std::span<const std::byte> data, const Deadline& deadline) const {
  while (!data.empty()) {
    const ssize_t sent = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      data = data.subspan(static_cast<std::size_t>(sent));
    } else if (would_block()) {
      wait_for(*this, POLLOUT, deadline);
    } else {
      fail(system_reason(errno));
    }
  }
}

void Socket::read_all(std::span<std::byte> data, const Deadline& deadline) const {
  while (!data.empty()) {
    const ssize_t got = ::recv(fd_, data.data(), data.size(), 0);
    if (got > 0) {
      data = data.subspan(static_cast<std::size_t>(got));
    } else if (got == 0) {
      fail("connection closed");
    } else if (would_block()) {
      wait_for(*this, POLLIN, deadline);
    } else {
      fail(system_reason(errno));
    }
  }
}

Socket listen_on(const TcpEndpoint& endpoint) {
  const Addresses addresses = resolve(endpoint, AI_PASSIVE);
  Socket socket = open_for(*addresses);
  const int on = 1;
  ::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(socket.fd(), addresses->ai_addr, addresses->ai_addrlen) != 0 || ::listen(socket.fd(), kBacklog) != 0) {
    fail("cannot listen on " + to_string(endpoint) + ": " + system_reason(errno));
  }
  return socket;
}

Socket connect_to(const TcpEndpoint& endpoint, const Deadline& deadline) {
  const Addresses addresses = resolve(endpoint, 0);
  Socket socket = open_for(*addresses);
  send_small_messages_at_once(socket);
  if (::connect(socket.fd(), addresses->ai_addr, addresses->ai_addrlen) == 0) return socket;
  if (errno != EINPROGRESS) fail(system_reason(errno));
  wait_for(socket, POLLOUT, deadline);
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) fail(system_reason(error));
  return socket;
}

std::optional<Socket> accept_from(const Socket& listener) {
  const int fd = ::accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return std::nullopt;
  Socket socket(fd);
  send_small_messages_at_once(socket);
  return socket;
}

}  // namespace millrace::engine
