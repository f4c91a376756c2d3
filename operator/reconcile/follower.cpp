#include "operator/reconcile/follower.h"

#include <utility>

#include "common/error.h"
#include "common/log.h"

namespace millrace::controller {
namespace {

// A deployment that is being made changes many times a second, and its leader is about to know more.
constexpr std::chrono::milliseconds kGather{2'000};

kube::WorkQueueOptions queue_options() {
  kube::WorkQueueOptions options;
  options.first_retry = kGather;
  options.retry_limit = std::chrono::seconds(30);
  return options;
}

}  // namespace

Follower::Follower(AgentsOf agents_of, AgentProbe& probe)
    : agents_of_(std::move(agents_of)), probe_(probe), queue_(queue_options()) {}

void Follower::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Follower::stop() {
  thread_ = {};
}

void Follower::add(const kube::ObjectKey& deployment) {
  queue_.add_after(deployment, kGather);
}

void Follower::end() {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(ended_, true)) queue_.shut_down();
}

void Follower::run(const std::stop_token& stop) {
  while (const std::optional<kube::ObjectKey> key = queue_.get(stop)) {
    try {
      follow(*key);
      queue_.forget(*key);
    } catch (const common::Error& error) {
      common::log_debug("agents cannot be followed", {{"deployment", to_string(*key)}, {"error", error.what()}});
      queue_.add_rate_limited(*key);
    }
    queue_.done(*key);
  }
}

void Follower::follow(const kube::ObjectKey& deployment) {
  std::vector<ProbeGroup> groups = agents_of_(deployment);
  const std::lock_guard lock(mutex_);
  if (!ended_) probe_.watch(deployment, std::move(groups));
}

}  // namespace millrace::controller
