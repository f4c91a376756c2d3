// This machine as the nodes of a cluster in memory: registers one Node for each pretended zone, and runs the pods that
// are bound to them.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "operator/kube/watcher.h"
#include "operator/local/addresses.h"
#include "operator/local/pod_runner.h"

namespace millrace::controller::local {

// Nodes local-<zone>, each with all processors and all memory of the machine: they are the same machine.
std::vector<kube::Object> make_nodes(const std::vector<std::string>& zones);

class LocalNode {
 public:
  // Starts at once. `client` is borrowed.
  LocalNode(kube::Client& client, NodeOptions options, const std::vector<std::string>& zones);
  ~LocalNode();  // ends every process

  LocalNode(const LocalNode&) = delete;
  LocalNode& operator=(const LocalNode&) = delete;

  std::size_t running() const;

 private:
  void on_change(const kube::Change& change);
  void start_pod(const kube::Object& pod);
  void forget_finished();

  kube::Client& client_;
  const NodeOptions options_;
  AddressPool addresses_;
  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<PodRunner>> runners_;  // by uid
  std::unique_ptr<kube::Informer> pods_;
};

}  // namespace millrace::controller::local
