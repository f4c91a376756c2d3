// An engine without a model: it plays a script for every request, on a thread of its own like the real one.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "engine/engine.h"

namespace millrace::agent {

inline constexpr std::chrono::seconds kPatience{20};  // until what a test waits for counts as not coming

class FakeEngine : public engine::Engine {
 public:
  // What becomes of a request: its events without ids, the last with a finish reason.
  using Script = std::function<std::vector<engine::TokenEvent>(const engine::Request&)>;

  explicit FakeEngine(Script script, std::int64_t max_model_len = 512);
  ~FakeEngine() override;

  const engine::EngineInfo& info() const override { return info_; }
  Submitted submit(engine::Request request, engine::TokenSink sink) override;
  void cancel(engine::RequestId id) override;
  engine::EngineStats stats() const override;
  engine::ExpertLoad expert_load() const override;
  std::future<void> move_experts(const engine::ExpertPlacement& placement,
                                 const engine::ExpertMoveOptions& options) override;
  engine::ExpertPlacement expert_placement() const override;
  std::string failure() const override;

  // Controls. Any thread.
  void limit_live(std::size_t live);     // more are refused, as by a full queue
  void hold_after(std::size_t events);   // every request stops after so many events
  void block();                          // submit() does not return, as if the engine hung
  void release();                        // no more holding or blocking
  void fail(const std::string& reason);  // as when a follower dies

  // Observations; the waits have a deadline.
  std::vector<engine::Request> requests() const;
  bool wait_for_cancel();  // of any request
  bool wait_for_requests(std::size_t count);
  bool wait_for_blocked(std::size_t count);  // callers of submit()
  bool wait_for_tokens(std::int64_t count);  // handed to sinks

 private:
  struct Live {
    engine::TokenSink sink;
    std::deque<engine::TokenEvent> events;
    std::size_t emitted = 0;
    engine::RequestTimes times{};
  };
  void run();
  static void stamp(engine::RequestTimes& times, engine::TokenEvent& event);
  bool step(std::unique_lock<std::mutex>& lock);  // emits one event; false when there is none to emit

  const Script script_;
  engine::EngineInfo info_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<engine::RequestId, Live> live_;
  std::set<engine::RequestId> cancelled_;
  std::vector<engine::Request> requests_;
  engine::ExpertPlacement placement_;
  std::string failure_;
  std::size_t max_live_ = std::numeric_limits<std::size_t>::max();
  std::size_t hold_after_ = std::numeric_limits<std::size_t>::max();
  std::uint64_t next_id_ = 1;
  std::int64_t generated_ = 0;
  std::int64_t prompt_tokens_ = 0;
  bool stopping_ = false;
  bool blocking_ = false;
  std::size_t blocked_ = 0;
  std::thread thread_;
};

// Events that say `tokens` and end.
std::vector<engine::TokenEvent> token_events(const std::vector<engine::TokenId>& tokens, engine::FinishReason reason,
                                             std::optional<engine::TokenId> stop_token);

}  // namespace millrace::agent
