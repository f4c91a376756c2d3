#include "agent/admission.h"

#include <algorithm>

namespace millrace::agent {

std::variant<std::shared_ptr<Admission::Ticket>, Admission::Refusal> Admission::enter() {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (!accepting_locked(now)) return Refusal::kDraining;
  last_came_ = now;
  if (in_flight_ >= limit_) return Refusal::kFull;
  auto ticket = std::make_shared<Ticket>(*this);
  ++in_flight_;
  return ticket;
}

void Admission::leave() {
  const std::lock_guard lock(mutex_);
  --in_flight_;
  left_.notify_all();
}

void Admission::drain(LateRequests late) {
  const std::lock_guard lock(mutex_);
  if (drained_at_) {
    late_ = {std::min(late_.quiet, late.quiet), std::min(late_.most, late.most)};
    return;
  }
  drained_at_ = last_came_ = std::chrono::steady_clock::now();
  late_ = late;
}

bool Admission::draining() const {
  const std::lock_guard lock(mutex_);
  return drained_at_.has_value();
}

bool Admission::accepting() const {
  const std::lock_guard lock(mutex_);
  return accepting_locked(std::chrono::steady_clock::now());
}

bool Admission::accepting_locked(std::chrono::steady_clock::time_point now) const {
  return !drained_at_ || now < std::min(last_came_ + late_.quiet, *drained_at_ + late_.most);
}

std::int64_t Admission::in_flight() const {
  const std::lock_guard lock(mutex_);
  return in_flight_;
}

bool Admission::wait_until_idle(std::chrono::milliseconds limit) const {
  std::unique_lock lock(mutex_);
  return left_.wait_for(lock, limit, [this] { return in_flight_ == 0; });
}

}  // namespace millrace::agent
