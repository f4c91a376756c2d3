// Wakes a thread that sleeps in poll().
#pragma once

#include <chrono>

namespace millrace::controller::local {

class Wake {
 public:
  Wake();
  ~Wake();

  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;

  void notify() noexcept;  // any thread
  // Returns when notified, when `other_fd` (-1: none) is readable, or after `limit`.
  void wait(int other_fd, std::chrono::milliseconds limit) noexcept;

 private:
  int fd_;
};

}  // namespace millrace::controller::local
