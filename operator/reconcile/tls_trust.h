// Whom the operator trusts when it calls agents over TLS: what the Secrets say that hold the agents' certificates. They
// are not watched, but read at each look at a deployment that uses one; agents that stop being trusted lead to a look.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/tls.h"
#include "operator/kube/client.h"
#include "operator/plan/plan.h"
#include "operator/resources/child.h"

namespace millrace::controller {

// Any thread, one deployment at a time. `client` is borrowed.
class TlsTrust {
 public:
  // By Secret.
  using Clients = std::map<std::string, std::shared_ptr<const common::TlsClient>>;

  explicit TlsTrust(kube::Client& client) : client_(client) {}

  struct Look {
    Clients clients;      // one for every Secret whose certificate a pod shows
    std::string problem;  // what a person has to do about the Secret that the spec names; empty: nothing
  };
  Look look(const Parent& parent, const Observed& observed);
  void forget(const kube::ObjectKey& deployment);

 private:
  // Agents show a new certificate later than its Secret holds it: who was trusted before still is.
  struct Known {
    std::string pem;
    std::shared_ptr<const common::TlsClient> client;
  };
  using Secrets = std::map<std::string, Known>;

  static void learn(Known& known, const std::string& pem, const std::string& server_name);

  kube::Client& client_;
  std::mutex mutex_;
  std::map<kube::ObjectKey, Secrets> known_;  // by deployment
};

}  // namespace millrace::controller
