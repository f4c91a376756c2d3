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

// How long new requests are taken after a drain has begun: routers hear late that they should go elsewhere.
struct LateRequests {
  std::chrono::milliseconds quiet{0};  // until none has come for so long,
  std::chrono::milliseconds most{0};   // but no longer than this
};

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

  // For good. A second call can only shorten the time for late requests.
  void drain(LateRequests late = {});
  bool draining() const;
  bool accepting() const;  // not draining, or late requests are still taken
  std::int64_t in_flight() const;
  // False when there is still somebody after `limit`.
  bool wait_until_idle(std::chrono::milliseconds limit) const;

 private:
  void leave();
  bool accepting_locked(std::chrono::steady_clock::time_point now) const;

  const std::int64_t limit_;
  mutable std::mutex mutex_;
  mutable std::condition_variable left_;
  std::int64_t in_flight_ = 0;
  std::optional<std::chrono::steady_clock::time_point> drained_at_;
  std::chrono::steady_clock::time_point last_came_;  // since then
  LateRequests late_;
};

}  // namespace millrace::agent
