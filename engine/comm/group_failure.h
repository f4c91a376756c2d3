#pragma once

#include <mutex>
#include <string>

#include "engine/comm/socket.h"

namespace millrace::engine {

// Why a group ended: the first reason wins and wakes whoever polls wake_fd(). Any thread.
//
// A rank that leaves in good order may have sent its last messages just before; operations get a grace to finish with
// what is under way. A broken rank gives none.
class GroupFailure {
 public:
  GroupFailure();

  void fail(const std::string& reason) { set(reason, Clock::now()); }
  void leave(const std::string& reason, Clock::duration grace) { set(reason, Clock::now() + grace); }

  std::string reason() const;  // empty while healthy
  // When operations must give up; empty while healthy.
  std::optional<Clock::time_point> end() const;
  // Readable from the first failure on.
  int wake_fd() const { return wake_.fd(); }

 private:
  void set(const std::string& reason, Clock::time_point end);

  mutable std::mutex mutex_;
  std::string reason_;
  std::optional<Clock::time_point> end_;
  Socket wake_;  // an eventfd
};

}  // namespace millrace::engine
