// The scheduler and the kubelets of three nodes in three zones, played over the API server: pods are bound, "run" as
// PlayedAgents on loopback addresses, report their status, and go when they are deleted. It writes what the real ones
// write, also the Ready condition, which waits for the readiness gates: late when they open, at once when they close.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "operator/kube/watcher.h"
#include "tests/cluster/played_agent.h"

namespace millrace::testing {

class PlayedNodes {
 public:
  // Makes the nodes. `client` is borrowed and must be allowed everything.
  explicit PlayedNodes(controller::kube::Client& client);
  ~PlayedNodes();
  PlayedNodes(const PlayedNodes&) = delete;
  PlayedNodes& operator=(const PlayedNodes&) = delete;

  // The agent of a running pod; null for any other.
  std::shared_ptr<PlayedAgent> agent(const std::string& pod) const;
  // Agents of all running pods, by pod.
  std::map<std::string, std::shared_ptr<PlayedAgent>> agents() const;
  // Requests that were running when their pod was killed, since the beginning.
  std::int64_t cut_requests() const { return cut_; }

 private:
  using Object = controller::kube::Object;
  using ObjectPtr = controller::kube::ObjectPtr;

  struct Running {
    std::string ip;
    std::shared_ptr<PlayedAgent> agent;
    std::int64_t opened = -1;   // the look at which its gates were first seen open
    std::string reported = {};  // the last status that was written
  };

  void make_nodes();
  void run(std::stop_token stop);
  void wake();
  void look_at(const Object& pod);
  void bind(const Object& pod);
  void start(const Object& pod);
  void report(const Object& pod, const Running& running);
  bool acknowledged(const Object& pod);
  void report_waiting(const Object& pod, const std::string& message);
  void end(const Object& pod);
  void forget_absent(const std::vector<ObjectPtr>& pods);
  std::string missing_secret(const Object& pod) const;
  std::string next_ip();

  controller::kube::Client& client_;
  const int network_;  // second byte of the addresses, so that two runs on one machine seldom meet
  int next_host_ = 0;
  std::int64_t looks_ = 0;  // at all pods; of the thread alone
  std::atomic<std::int64_t> cut_{0};

  mutable std::mutex mutex_;
  std::map<std::string, Running> running_;   // by pod uid
  std::map<std::string, std::string> uids_;  // of pods by name
  std::condition_variable_any changed_;
  bool dirty_ = true;
  controller::kube::Informer pods_;
  std::jthread thread_;  // last: it uses everything else
};

}  // namespace millrace::testing
