#include "operator/local/addresses.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/error.h"

namespace millrace::controller::local {
namespace {

constexpr std::uint32_t kFirst = (127U << 24) | (16U << 16);
constexpr std::uint32_t kCount = 200U << 16;

bool is_free(std::uint32_t address, std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(address);
  where.sin_port = htons(port);
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0 && listen(fd, 1) == 0;
  close(fd);
  return bound;
}

std::string text_of(std::uint32_t address) {
  std::array<char, INET_ADDRSTRLEN> text{};
  const in_addr binary{htonl(address)};
  inet_ntop(AF_INET, &binary, text.data(), text.size());
  return text.data();
}

}  // namespace

AddressPool::AddressPool() : next_(static_cast<std::uint32_t>(getpid()) % 50'000 * 256) {}

std::string AddressPool::take(const std::vector<std::uint16_t>& ports) {
  const std::lock_guard lock(mutex_);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    next_ = (next_ + 1) % kCount;
    const std::uint32_t address = kFirst + next_;
    const std::uint32_t last = address & 0xFF;
    if (last == 0 || last == 255 || taken_.contains(text_of(address))) continue;
    if (!std::all_of(ports.begin(), ports.end(), [&](std::uint16_t port) { return is_free(address, port); })) continue;
    return *taken_.insert(text_of(address)).first;
  }
  throw common::Error(common::Code::kResourceExhausted, "no loopback address has the ports of the pod free");
}

void AddressPool::give_back(const std::string& address) {
  const std::lock_guard lock(mutex_);
  taken_.erase(address);
}

}  // namespace millrace::controller::local
