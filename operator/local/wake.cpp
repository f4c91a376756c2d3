#include "operator/local/wake.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "common/error.h"

namespace millrace::controller::local {

Wake::Wake() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ < 0) throw common::Error(common::Code::kResourceExhausted, "no file descriptor is left");
}

Wake::~Wake() {
  close(fd_);
}

void Wake::notify() noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!write(fd_, &one, sizeof one));
}

void Wake::wait(int other_fd, std::chrono::milliseconds limit) noexcept {
  pollfd waits[2] = {{fd_, POLLIN, 0}, {other_fd, POLLIN, 0}};
  poll(waits, 2, static_cast<int>(limit.count()));
  std::uint64_t drained = 0;
  static_cast<void>(!read(fd_, &drained, sizeof drained));
}

}  // namespace millrace::controller::local
