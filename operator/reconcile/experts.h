// Keeps the experts of every group balanced: asks the leaders' agents once per interval, lets ExpertCycle decide, and
// sends the placements it decides on.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "operator/kube/object.h"
#include "operator/plan/experts_cycle.h"
#include "operator/probe/expert_client.h"

namespace millrace::controller {

struct ExpertGroup {
  std::string name;
  AgentAddress leader;
  std::vector<std::int32_t> node_of_rank;  // of expert ranks
  ExpertPolicy policy;
};

class ExpertBalancer {
 public:
  using OnChange = std::function<void(const kube::ObjectKey&)>;  // a status has changed; called on its own threads

  // `client` is borrowed.
  ExpertBalancer(ExpertClient& client, OnChange on_change, int threads = 2);
  ~ExpertBalancer();  // stops

  ExpertBalancer(const ExpertBalancer&) = delete;
  ExpertBalancer& operator=(const ExpertBalancer&) = delete;

  // Any thread. Replaces the groups of a deployment; empty forgets it.
  void watch(const kube::ObjectKey& deployment, const std::vector<ExpertGroup>& groups);
  // Any thread. Of the groups that are watched, by name.
  std::vector<ExpertGroupStatus> status(const kube::ObjectKey& deployment) const;

 private:
  using Clock = std::chrono::system_clock;

  struct Entry {
    kube::ObjectKey deployment;
    ExpertGroup group;
    ExpertCycle cycle;
    Clock::time_point due;
    bool busy = false;
    ExpertVerdict told = ExpertVerdict::kNoTraffic;
    std::int64_t told_number = 0;
  };
  using Entries = std::map<std::string, std::shared_ptr<Entry>>;  // shared: a look may outlive the watch of its group

  void run();
  void look(Entry& entry);
  bool has_news_locked(Entry& entry) const;

  ExpertClient& client_;
  const OnChange on_change_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  Entries entries_;  // by namespace and group
  std::vector<std::thread> threads_;
};

}  // namespace millrace::controller
