// What `millrace up` shows of the cluster: lines while it starts, and tables like kubectl's.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "operator/kube/client.h"

namespace millrace::cli {

enum class UpState {
  kStarting,
  kReady,
  kStalled,  // it will not get further by itself
};

UpState state_of(const controller::kube::Object& deployment);
// The reason and message of condition Ready.
std::string cause_of(const controller::kube::Object& deployment);

// "schedule", "load" or "ready": where a deployment is, by the reason of its condition Ready.
std::string phase_of(const controller::kube::Object& deployment);

// Lines on standard error, one for each change.
class UpProgress {
 public:
  UpProgress() : begin_(std::chrono::steady_clock::now()) {}

  void say(const std::string& phase, const std::string& text);
  void show(const controller::kube::Object& deployment);

 private:
  const std::chrono::steady_clock::time_point begin_;
  std::map<std::string, std::string> shown_;  // by deployment
};

// `kubectl get md,pods` of all namespaces.
std::string format_cluster(controller::kube::Client& client);

}  // namespace millrace::cli
