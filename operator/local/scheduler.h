// Gives pods without a node one: selectors and requests, fewest pods first.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "operator/kube/client.h"
#include "operator/kube/watcher.h"

namespace millrace::controller::local {

struct SchedulingVerdict {
  std::string node;    // empty: none
  std::string reason;  // then: why, in the scheduler's usual words
};

// Pure. `pods` are all pods of the cluster.
SchedulingVerdict choose_node(const kube::Object& pod, const std::vector<kube::Object>& nodes,
                              const std::vector<kube::Object>& pods);

class Scheduler {
 public:
  explicit Scheduler(kube::Client& client);  // borrowed; starts at once
  ~Scheduler();

  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

 private:
  void run(std::stop_token stop);
  void schedule_all();
  void bind(const kube::Object& pod, const SchedulingVerdict& verdict);

  kube::Client& client_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool dirty_ = true;
  std::unique_ptr<kube::Informer> pods_;
  std::unique_ptr<kube::Informer> nodes_;
  std::jthread thread_;
};

}  // namespace millrace::controller::local
