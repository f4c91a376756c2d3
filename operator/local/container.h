// The container of a pod as a process: what to run, and its probes. Pure but for check().
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/tls.h"
#include "operator/kube/object.h"
#include "operator/local/process.h"
#include "operator/local/volumes.h"

namespace millrace::controller::local {

struct HttpProbe {
  std::uint16_t port = 0;
  std::string path;
  std::shared_ptr<const common::TlsClient> tls = {};  // null: plain HTTP
  std::chrono::milliseconds initial_delay{0};
  std::chrono::milliseconds period{10'000};
  std::chrono::milliseconds timeout{1'000};
  int failures = 3;   // in a row that count as failed
  int successes = 1;  // in a row that count as passed

  // One attempt; true for 200 to 399, as for a kubelet.
  bool check(const std::string& ip) const;
};

// The probe `name` ("livenessProbe") of a container, with named ports resolved. Empty when there is none.
std::optional<HttpProbe> probe_of(const kube::Object& container, const std::string& name);

// Counts results until they mean something.
class ProbeCounter {
 public:
  explicit ProbeCounter(bool passed) : passed_(passed) {}
  // Returns true when the verdict changed.
  bool add(const HttpProbe& probe, bool success);
  bool passed() const { return passed_; }
  int failures() const { return failures_; }

 private:
  bool passed_;
  int failures_ = 0;
  int successes_ = 0;
};

// "$(NAME)" becomes the variable's value, "$$(NAME)" stays "$(NAME)", unknown names stay as they are.
std::string expand(const std::string& text, const std::map<std::string, std::string>& env);

// Program, arguments and environment of the pod's only container. `programs`: folders in which commands without a
// slash are looked for before PATH. Throws common::Error.
ProcessOptions process_of(const kube::Object& pod, const std::string& pod_ip, const std::vector<MountedPath>& mounts,
                          const std::vector<std::filesystem::path>& programs);

}  // namespace millrace::controller::local
