// A whole small cluster in one process: memory in place of the API server, this machine in place of the nodes, and the
// operator's own controller, unchanged.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "operator/local/forwarder.h"
#include "operator/local/memory_cluster.h"
#include "operator/local/node.h"
#include "operator/local/scheduler.h"
#include "operator/probe/agent_clients.h"
#include "operator/reconcile/controller.h"

namespace millrace::controller::local {

struct LocalClusterOptions {
  NodeOptions node;
  std::vector<std::string> zones{"a", "b", "c"};  // pretended
  int workers = 2;
  // Feed the operator's metrics; borrowed, may be null.
  kube::QueueObserver* queue_observer = nullptr;
  ReconcileObserver* observer = nullptr;
};

class LocalCluster {
 public:
  explicit LocalCluster(LocalClusterOptions options);
  ~LocalCluster();  // ends every pod's process

  LocalCluster(const LocalCluster&) = delete;
  LocalCluster& operator=(const LocalCluster&) = delete;

  kube::Client& client() { return cluster_; }
  const Controller& controller() const { return *controller_; }
  const std::filesystem::path& work_folder() const { return work_folder_; }

  // Opens address:port in front of the deployment's Service; the cluster keeps it open. Returns the port.
  std::uint16_t expose(const kube::ObjectKey& deployment, const std::string& address, std::uint16_t port);

 private:
  std::vector<Backend> backends(const kube::ObjectKey& service);

  const std::filesystem::path work_folder_;
  MemoryCluster cluster_;
  std::stop_source stop_;
  HttpAgentClients agents_{stop_.get_token()};
  std::unique_ptr<LocalNode> node_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<Controller> controller_;
  std::vector<std::unique_ptr<Forwarder>> forwarders_;
};

}  // namespace millrace::controller::local
