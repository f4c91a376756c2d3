#include "engine/comm/group_failure.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "common/error.h"

namespace millrace::engine {

GroupFailure::GroupFailure() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_.is_open()) throw common::Error(common::Code::kResourceExhausted, "no eventfd is left");
}

std::string GroupFailure::reason() const {
  const std::lock_guard lock(mutex_);
  return reason_;
}

std::optional<Clock::time_point> GroupFailure::end() const {
  const std::lock_guard lock(mutex_);
  return end_;
}

void GroupFailure::set(const std::string& reason, Clock::time_point end) {
  const std::lock_guard lock(mutex_);
  // A failure during somebody's grace ends it at once; the first reason stays.
  end_ = end_ ? std::min(*end_, end) : end;
  if (!reason_.empty()) return;
  reason_ = reason;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.fd(), &one, sizeof(one));
}

}  // namespace millrace::engine
