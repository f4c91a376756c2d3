// The operator's program against a control plane, with no more rights than the chart gives it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tests/cluster/background_process.h"
#include "tests/cluster/control_plane.h"

namespace millrace::testing {

// Looks again until it holds; false when that takes longer than two minutes.
bool eventually(const std::function<bool()>& holds);

class OperatorProcess {
 public:
  static constexpr const char* kNamespace = "millrace-system";
  // As the API server's audit log names it.
  static constexpr const char* kUser = "system:serviceaccount:millrace-system:millrace-operator";

  // Installs the chart, for its roles, and starts the program. Throws std::runtime_error when it cannot.
  explicit OperatorProcess(const ControlPlane& cluster);

  void kill();       // SIGKILL, and waits for its end
  void terminate();  // SIGTERM, and waits for its end
  void start();      // again, with an identity of its own

  bool ready() const;  // what /readyz says: it may lead from now on
  bool leads() const;  // as its metrics say

  std::string metrics() const;                     // what /metrics says
  double metric(const std::string& series) const;  // sum over the lines that begin with it; 0 when there is none
  int metrics_port() const { return metrics_port_; }
  std::string log() const;

 private:
  const ControlPlane& cluster_;
  const int metrics_port_;
  const int health_port_;
  int starts_ = 0;
  std::unique_ptr<BackgroundProcess> process_;
};

}  // namespace millrace::testing
