// One pod on this machine: its volumes, its process, its probes, its restarts and its end. What a kubelet does, on a
// thread of its own.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "operator/kube/client.h"
#include "operator/local/container.h"
#include "operator/local/wake.h"

namespace millrace::controller::local {

struct NodeOptions {
  std::filesystem::path work_folder;  // volumes and logs of pods go below it
  HostPaths host_paths;
  std::vector<std::filesystem::path> programs;     // where commands without a slash are found
  std::chrono::milliseconds restart_delay{2'000};  // after the second failure in a row; doubles
  std::chrono::milliseconds restart_limit{60'000};
  std::chrono::milliseconds volume_refresh{1'000};  // of ConfigMaps and Secrets; kubelets take about a minute
  std::chrono::milliseconds good_run{60'000};       // a container that ran this long has not failed in a row
  std::chrono::milliseconds shutdown_grace{5'000};  // for pods that are ended because the node stops
};

class PodRunner {
 public:
  // Starts at once. `client` and `options` are borrowed.
  PodRunner(kube::Client& client, const NodeOptions& options, kube::Object pod, std::string ip);
  ~PodRunner();  // ends the process within shutdown_grace

  PodRunner(const PodRunner&) = delete;
  PodRunner& operator=(const PodRunner&) = delete;

  void update(kube::Object pod);  // the stored object changed: deletion, readiness gates
  void pod_is_gone();             // it was removed without grace: kill
  void stop();                    // begin to end; the destructor waits
  bool finished() const { return finished_; }
  const std::string& ip() const { return ip_; }
  std::filesystem::path log_file() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Probes;

  void run();
  void run_once();
  void supervise(Process& process);
  void check_probes(Process& process, Probes& probes);
  void refresh_volumes();
  std::filesystem::path volume_folder() const;
  void end(Process& process, std::chrono::milliseconds grace);
  void rest();  // until the pod leaves
  void wait_before_restart(Clock::time_point started, const std::string& message, std::optional<int> exit_status);
  bool leaving() const;  // deletion or stop was asked for
  kube::Object pod() const;
  void report();
  kube::Json conditions(const kube::Object& pod);
  kube::Json container_status() const;
  std::string last_words() const;

  kube::Client& client_;
  const NodeOptions& options_;
  const std::string ip_;
  mutable std::mutex mutex_;
  kube::Object pod_;  // guarded by mutex_
  Wake wake_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> gone_{false};
  std::atomic<bool> finished_{false};

  // Of the runner's thread.
  Clock::time_point refreshed_;
  bool running_ = false;
  bool succeeded_ = false;  // it ended well and is not to run again
  bool started_ = false;
  bool ready_ = false;
  bool reported_ready_ = false;  // the pod, with its gates
  bool reported_containers_ = false;
  std::string since_ready_, since_containers_, since_start_;
  std::string waiting_reason_ = "ContainerCreating";
  std::string waiting_message_;
  kube::Json last_state_;
  int restarts_ = 0;
  int failures_in_a_row_ = 0;

  std::thread thread_;
};

}  // namespace millrace::controller::local
