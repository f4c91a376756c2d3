// What an operator does that does not lead: it asks the agents as well, so that it knows of each at the moment it
// leads, and what is said by silence. It writes nothing and tells agents nothing.
#pragma once

#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "operator/kube/work_queue.h"
#include "operator/probe/prober.h"

namespace millrace::controller {

// Any thread.
class Follower {
 public:
  using AgentsOf = std::function<std::vector<ProbeGroup>(const kube::ObjectKey&)>;

  // `agents_of` may throw common::Error: it is asked again later. `probe` is borrowed.
  Follower(AgentsOf agents_of, AgentProbe& probe);

  void start();  // nothing is asked before
  void stop();

  // Something changed about the deployment: its agents are looked up soon, once for many changes.
  void add(const kube::ObjectKey& deployment);

  // Somebody else says from now on whom to ask. When this returns, nothing is said here any more.
  void end();

 private:
  void run(const std::stop_token& stop);
  void follow(const kube::ObjectKey& deployment);

  const AgentsOf agents_of_;
  AgentProbe& probe_;
  kube::WorkQueue queue_;
  std::mutex mutex_;
  bool ended_ = false;
  std::jthread thread_;
};

}  // namespace millrace::controller
