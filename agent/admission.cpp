#include "agent/admission.h"

#include <algorithm>

namespace millrace::agent {

std::variant<std::shared_ptr<Admission::Ticket>, Admission::Refusal> Admission::enter() {
  const std::lock_guard lock(mutex_);
  if (closes_at_ && std::chrono::steady_clock::now() >= *closes_at_) return Refusal::kDraining;
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

void Admission::drain(std::chrono::milliseconds late) {
  const std::lock_guard lock(mutex_);
  const auto at = std::chrono::steady_clock::now() + late;
  closes_at_ = std::min(at, closes_at_.value_or(at));
}

bool Admission::draining() const {
  const std::lock_guard lock(mutex_);
  return closes_at_.has_value();
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
