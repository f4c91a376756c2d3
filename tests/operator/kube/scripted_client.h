// A client against a scripted server, and what such a server answers.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "operator/kube/client.h"
#include "operator/kube/kubeconfig.h"
#include "tests/operator/kube/scripted_server.h"

namespace millrace::testing {

namespace kube = controller::kube;

inline std::string pod_json(const std::string& name, int version) {
  return R"({"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"default","name":")" + name + R"(","uid":"u-)" +
         name + R"(","resourceVersion":")" + std::to_string(version) + R"("}})";
}

inline std::string status_json(int code, const std::string& reason, const std::string& message) {
  return R"({"kind":"Status","apiVersion":"v1","status":"Failure","message":")" + message + R"(","reason":")" + reason +
         R"(","code":)" + std::to_string(code) + "}";
}

inline kube::ClientOptions quick() {
  kube::ClientOptions options;
  options.request_limit = std::chrono::seconds(2);
  options.silence_limit = std::chrono::milliseconds(300);
  options.first_retry = std::chrono::milliseconds(1);
  return options;
}

inline std::unique_ptr<kube::Client> client_of(const ScriptedServer& server,
                                               const kube::ClientOptions& options = quick()) {
  kube::ClusterConfig config;
  config.server = server.url();
  config.origin = "test";
  return kube::connect(config, options);
}

}  // namespace millrace::testing
