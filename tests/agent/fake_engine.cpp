#include "tests/agent/fake_engine.h"

#include <chrono>

#include "common/error.h"

namespace millrace::agent {

using engine::FinishReason;
using engine::TokenEvent;

FakeEngine::FakeEngine(Script script, std::int64_t max_model_len) : script_(std::move(script)) {
  info_.architecture = "fake";
  info_.max_model_len = max_model_len;
  info_.vocab = 1216;
  info_.kv_blocks = 100;
  info_.block_size = 16;
  info_.state_slots = 10;
  info_.num_layers = 1;
  info_.num_experts = 2;
  placement_ = {.number = 0, .num_experts = 2, .ep_size = 1, .slots_per_rank = 2, .slots = {{0, 1}}};
  thread_ = std::thread([this] { run(); });
}

FakeEngine::~FakeEngine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

FakeEngine::Submitted FakeEngine::submit(engine::Request request, engine::TokenSink sink) {
  std::unique_lock lock(mutex_);
  ++blocked_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return !blocking_; });
  --blocked_;
  if (!failure_.empty()) throw common::Error(common::Code::kUnavailable, failure_);
  if (live_.size() >= max_live_) return {};
  const auto id = engine::RequestId{next_id_++};
  prompt_tokens_ += static_cast<std::int64_t>(request.prompt.size());
  auto events = script_(request);
  requests_.push_back(std::move(request));
  Live& live = live_[id];
  live.sink = std::move(sink);
  live.events = {events.begin(), events.end()};
  live.times.queued = engine::RequestTimes::Clock::now();
  changed_.notify_all();
  return {.accepted = true, .id = id};
}

void FakeEngine::cancel(engine::RequestId id) {
  const std::lock_guard lock(mutex_);
  const auto it = live_.find(id);
  if (it == live_.end()) return;
  cancelled_.insert(id);
  TokenEvent end;
  end.finish = FinishReason::kAbort;
  it->second.events = {end};
  it->second.emitted = 0;
  changed_.notify_all();
}

engine::EngineStats FakeEngine::stats() const {
  const std::lock_guard lock(mutex_);
  engine::EngineStats stats;
  stats.running = static_cast<std::int64_t>(live_.size());
  stats.kv_blocks_used = stats.running;
  stats.state_slots_used = stats.running;
  stats.generated_tokens = generated_;
  stats.prompt_tokens = prompt_tokens_;
  return stats;
}

engine::ExpertLoad FakeEngine::expert_load() const {
  return {
      .steps = 5, .num_layers = 1, .num_experts = 2, .tokens = {30, 10}, .total_steps = 9, .total_tokens = {50, 40}};
}

std::future<void> FakeEngine::move_experts(const engine::ExpertPlacement& placement, const engine::ExpertMoveOptions&) {
  if (placement.slots.size() != 1) {
    throw common::Error(common::Code::kInvalidArgument, "slots has the wrong number of layers; expected 1");
  }
  const std::lock_guard lock(mutex_);
  placement_ = placement;
  std::promise<void> done;
  done.set_value();
  return done.get_future();
}

engine::ExpertPlacement FakeEngine::expert_placement() const {
  const std::lock_guard lock(mutex_);
  return placement_;
}

std::string FakeEngine::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void FakeEngine::limit_live(std::size_t live) {
  const std::lock_guard lock(mutex_);
  max_live_ = live;
}

void FakeEngine::hold_after(std::size_t events) {
  const std::lock_guard lock(mutex_);
  hold_after_ = events;
}

void FakeEngine::block() {
  const std::lock_guard lock(mutex_);
  blocking_ = true;
}

void FakeEngine::release() {
  const std::lock_guard lock(mutex_);
  blocking_ = false;
  hold_after_ = std::numeric_limits<std::size_t>::max();
  changed_.notify_all();
}

void FakeEngine::fail(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  failure_ = reason;
  for (auto& [id, live] : live_) {
    TokenEvent end;
    end.finish = FinishReason::kError;
    end.message = reason;
    live.events = {end};
    live.emitted = 0;
  }
  hold_after_ = std::numeric_limits<std::size_t>::max();
  changed_.notify_all();
}

std::vector<engine::Request> FakeEngine::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

bool FakeEngine::wait_for_cancel() {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [this] { return !cancelled_.empty(); });
}

bool FakeEngine::wait_for_requests(std::size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return requests_.size() >= count; });
}

bool FakeEngine::wait_for_blocked(std::size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return blocked_ >= count; });
}

bool FakeEngine::wait_for_tokens(std::int64_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return generated_ >= count; });
}

void FakeEngine::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!step(lock)) changed_.wait(lock);
  }
  for (auto& [id, live] : live_) {
    TokenEvent end;
    end.id = id;
    end.finish = FinishReason::kAbort;
    live.sink(end);
  }
}

// Every event is a step of its own.
void FakeEngine::stamp(engine::RequestTimes& times, TokenEvent& event) {
  const auto now = engine::RequestTimes::Clock::now();
  if (!times.scheduled) times.scheduled = now;
  if (event.token && !times.first_token) times.first_token = now;
  times.finished = now;
  if (event.finish) event.times = times;
}

bool FakeEngine::step(std::unique_lock<std::mutex>& lock) {
  for (auto it = live_.begin(); it != live_.end(); ++it) {
    Live& live = it->second;
    const bool held = live.emitted >= hold_after_ && !cancelled_.contains(it->first);
    if (live.events.empty() || held) continue;
    TokenEvent event = live.events.front();
    live.events.pop_front();
    ++live.emitted;
    event.id = it->first;
    stamp(live.times, event);
    const bool is_token = event.token.has_value();
    const engine::TokenSink sink = live.sink;
    if (event.finish) live_.erase(it);
    lock.unlock();
    sink(std::move(event));
    lock.lock();
    if (is_token) ++generated_;
    changed_.notify_all();
    return true;
  }
  return false;
}

std::vector<TokenEvent> token_events(const std::vector<engine::TokenId>& tokens, FinishReason reason,
                                     std::optional<engine::TokenId> stop_token) {
  std::vector<TokenEvent> events;
  for (const engine::TokenId token : tokens) {
    TokenEvent event;
    event.token = token;
    events.push_back(event);
  }
  TokenEvent end;
  end.token = stop_token;
  end.finish = reason;
  if (!stop_token && !events.empty()) {
    events.back().finish = reason;
  } else {
    events.push_back(end);
  }
  return events;
}

}  // namespace millrace::agent
