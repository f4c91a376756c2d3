// The place of the engine while groups come and go.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include "engine/engine.h"

namespace millrace::agent {

// Any thread.
class EngineSlot {
 public:
  // Calls `action(Engine&)`; false, and not called, when there is no engine. Never waits for reset().
  template <typename Action>
  bool use(Action action) {
    const User user(*this);
    if (user.engine == nullptr) return false;
    action(*user.engine);
    return true;
  }

  void set(std::unique_ptr<engine::Engine> engine) {
    const std::lock_guard lock(mutex_);
    engine_ = std::move(engine);
  }

  // From now on there is no engine; destroys it once the calls in progress have returned. Not from within use().
  void reset() {
    std::unique_ptr<engine::Engine> old;
    std::unique_lock lock(mutex_);
    old.swap(engine_);
    user_left_.wait(lock, [this] { return users_ == 0; });
    lock.unlock();
  }

 private:
  struct User {
    explicit User(EngineSlot& owner) : slot(owner) {
      const std::lock_guard lock(slot.mutex_);
      engine = slot.engine_.get();
      ++slot.users_;
    }
    ~User() {
      const std::lock_guard lock(slot.mutex_);
      --slot.users_;
      slot.user_left_.notify_all();
    }
    User(const User&) = delete;
    User& operator=(const User&) = delete;

    EngineSlot& slot;
    engine::Engine* engine = nullptr;
  };

  std::mutex mutex_;
  std::condition_variable user_left_;
  std::unique_ptr<engine::Engine> engine_;
  int users_ = 0;
};

}  // namespace millrace::agent
