// What became of the last move of experts.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <future>
#include <mutex>

#include "common/agent_api.h"
#include "common/log.h"

namespace millrace::agent {

// Any thread.
class ExpertMoveRecord {
 public:
  void begin(std::int64_t number, std::future<void> done) {
    const std::lock_guard lock(mutex_);
    report_ = {number, common::ExpertMovePhase::kPreparing, {}};
    done_ = std::move(done);
  }

  common::ExpertMoveReport report() {
    const std::lock_guard lock(mutex_);
    const bool ended = done_.valid() && done_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    if (!ended) return report_;
    try {
      done_.get();
      report_.phase = common::ExpertMovePhase::kInForce;
    } catch (const std::exception& error) {
      report_.phase = common::ExpertMovePhase::kFailed;
      report_.message = error.what();
    }
    common::log_info("expert placement",
                     {{"number", report_.number}, {"phase", to_string(report_.phase)}, {"message", report_.message}});
    return report_;
  }

 private:
  std::mutex mutex_;
  common::ExpertMoveReport report_;
  std::future<void> done_;
};

}  // namespace millrace::agent
