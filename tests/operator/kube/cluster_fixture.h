// What the suites against a real API server share: clients, small objects, waiting with a deadline.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/kube/client.h"
#include "operator/kube/kubeconfig.h"
#include "tests/cluster/control_plane.h"

namespace millrace::controller::kube {

class ClusterTest : public testing::SharedControlPlane {
 protected:
  void SetUp() override {
    SharedControlPlane::SetUp();
    if (IsSkipped()) return;
    client_ = connect(admin(), {});
  }

  static ClusterConfig admin() { return load_kubeconfig(cluster().kubeconfig()); }
  Client& client() { return *client_; }

  static Object config_map(const std::string& name, const Json& data = Json::object()) {
    Object object(kConfigMap, {"default", name});
    if (!data.empty()) object.json()["data"] = data;
    return object;
  }

  static Object pod(const std::string& name) {
    Object object(kPod, {"default", name});
    object.json()["spec"] = {{"containers", {{{"name", "c"}, {"image", "none"}}}}};
    return object;
  }

  // Looks again every few milliseconds, for things that the server does in its own time.
  static bool eventually(const std::function<bool()>& condition,
                         std::chrono::seconds limit = std::chrono::seconds(60)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return true;
  }

  template <typename Call>
  static std::optional<ApiError> error_of(const Call& call) {
    try {
      call();
    } catch (const common::Error& error) {
      return as_api_error(error);
    }
    return std::nullopt;
  }

 private:
  std::unique_ptr<Client> client_;
};

}  // namespace millrace::controller::kube
