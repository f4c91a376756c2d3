// Who may still come in: bounds the generations of this process, counts them exactly, and refuses new ones once it is
// drained.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>

namespace millrace::agent {

// Any thread. Tickets must not outlive it.
class Admission {
 public:
  explicit Admission(std::int64_t limit) : limit_(limit) {}

  // In flight for as long as it lives; shared by the parts of one request.
  class Ticket {
   public:
    explicit Ticket(Admission& admission) : admission_(admission) {}
    ~Ticket() { admission_.leave(); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

   private:
    Admission& admission_;
  };
  enum class Refusal { kDraining, kFull };
  std::variant<std::shared_ptr<Ticket>, Refusal> enter();

  // For good. New requests are taken for another `late`, for routers hear late that they should go elsewhere; a second
  // call can only shorten that.
  void drain(std::chrono::milliseconds late = std::chrono::milliseconds(0));
  bool draining() const;
  std::int64_t in_flight() const;
  // False when there is still somebody after `limit`.
  bool wait_until_idle(std::chrono::milliseconds limit) const;

 private:
  void leave();

  const std::int64_t limit_;
  mutable std::mutex mutex_;
  mutable std::condition_variable left_;
  std::int64_t in_flight_ = 0;
  std::optional<std::chrono::steady_clock::time_point> closes_at_;  // since drain()
};

}  // namespace millrace::agent
