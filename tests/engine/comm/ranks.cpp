#include "tests/engine/comm/ranks.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace millrace::engine::test {
namespace {

std::uint16_t free_port(const std::string& host) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  socklen_t size = sizeof(address);
  const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(fd);
  if (!bound) throw std::runtime_error("no free port on " + host);
  return ntohs(address.sin_port);
}

}  // namespace

std::vector<TcpEndpoint> loopback_endpoints(int size) {
  std::vector<TcpEndpoint> endpoints;
  for (int rank = 0; rank < size; ++rank) {
    const std::string host = "127.0.0." + std::to_string(11 + rank);
    endpoints.push_back({host, free_port(host)});
  }
  return endpoints;
}

TcpCommOptions tcp_options(const std::vector<TcpEndpoint>& endpoints, int rank) {
  TcpCommOptions options;
  options.rank = rank;
  options.endpoints = endpoints;
  options.generation = 7;
  options.secret = "the group's secret";
  options.connect_timeout_ms = 30000;
  options.liveness_timeout_ms = 10000;  // a loaded machine must not look dead
  return options;
}

void on_ranks(Transport transport, int size, const std::function<void(Comm&)>& rank) {
  std::vector<std::unique_ptr<Comm>> comms(static_cast<std::size_t>(size));
  std::vector<TcpEndpoint> endpoints;
  if (transport == Transport::kThreads) {
    comms = make_thread_comms(size);
  } else {
    endpoints = loopback_endpoints(size);
  }
  std::mutex mutex;
  std::exception_ptr error;
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r) {
    threads.emplace_back([&, r] {
      try {
        std::unique_ptr<Comm> comm = std::move(comms[static_cast<std::size_t>(r)]);
        if (!comm) comm = connect_tcp_comm(tcp_options(endpoints, r));
        rank(*comm);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace millrace::engine::test
