#include "tests/cluster/operator_process.h"

#include <chrono>
#include <csignal>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace millrace::testing {

bool eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return true;
}

OperatorProcess::OperatorProcess(const ControlPlane& cluster)
    : cluster_(cluster), metrics_port_(free_port()), health_port_(free_port()) {
  const CommandResult installed = cluster.install_chart(kNamespace);
  if (!installed.ok()) throw std::runtime_error("helm: " + installed.err);
  start();
}

// As in the chart's Deployment, but for the addresses.
void OperatorProcess::start() {
  ++starts_;
  process_ = std::make_unique<BackgroundProcess>(
      std::vector<std::string>{
          MILLRACE_OPERATOR, "--kubeconfig", cluster_.service_account_kubeconfig(kNamespace, "millrace-operator"),
          std::string("--leader-election-namespace=") + kNamespace, "--leader-election-id=millrace-operator",
          "--metrics-address=127.0.0.1:" + std::to_string(metrics_port_),
          "--health-address=127.0.0.1:" + std::to_string(health_port_), "--agent-image=example.test/agent:1",
          "--log-level=info"},
      cluster_.dir() / ("operator-" + std::to_string(metrics_port_) + "-" + std::to_string(starts_) + ".log"));
}

void OperatorProcess::kill() {
  process_->signal(SIGKILL);
  process_->wait();
}

void OperatorProcess::terminate() {
  process_->signal(SIGTERM);
  process_->wait();
}

bool OperatorProcess::ready() const {
  return run_command({"curl", "-sf", "http://127.0.0.1:" + std::to_string(health_port_) + "/readyz"}).ok();
}

bool OperatorProcess::leads() const {
  return metric("leader_election_master_status") > 0;
}

std::string OperatorProcess::metrics() const {
  return run_command({"curl", "-s", "http://127.0.0.1:" + std::to_string(metrics_port_) + "/metrics"}).out;
}

double OperatorProcess::metric(const std::string& series) const {
  std::istringstream lines(metrics());
  double sum = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(series)) sum += std::stod(line.substr(line.rfind(' ') + 1));
  }
  return sum;
}

std::string OperatorProcess::log() const {
  return process_->log();
}

}  // namespace millrace::testing
