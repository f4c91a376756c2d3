// What every implementation of kube::Client promises, said once and asked of each: the client of an API server, and the
// cluster in memory that the local mode and most tests stand on.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/kube/client.h"
#include "tests/cluster/control_plane.h"

namespace millrace::controller::kube {

enum class Side { kApiServer, kMemory };
inline void PrintTo(Side side, std::ostream* out) {
  *out << (side == Side::kMemory ? "memory" : "API server");
}

class ClientContract : public ::testing::TestWithParam<Side> {
 protected:
  static void TearDownTestSuite();
  void SetUp() override;

  Client& client() { return *client_; }
  // Each test has objects of its own: their names begin with the test's.
  ObjectKey key(const std::string& suffix = "") const;
  Object config_map(const std::string& suffix, const Json& data = Json::object()) const;
  Object deployment(const std::string& suffix, const Json& spec = Json::object()) const;  // a valid ModelDeployment
  Object pod(const std::string& suffix, const std::string& node = "") const;
  // An event's or object's owner, as the operator writes it.
  static Object owned(Object child, const Object& owner);

  // Everything that a watch from `version` brings until `enough` says so or a minute has passed.
  std::vector<WatchEvent> watched(const ResourceKind& kind, WatchOptions options,
                                  const std::function<bool(const std::vector<WatchEvent>&)>& enough);
  // Afterwards no watch can start from what is now. `key`: of a ConfigMap to write to.
  void lose_history(const ObjectKey& key);
  static bool eventually(const std::function<bool()>& holds);
  static std::optional<ApiError> error_of(const std::function<void()>& call);
  static common::Code code_of(const std::function<void()>& call);
  bool collects_garbage() const { return GetParam() == Side::kMemory || controllers_; }

 private:
  static inline std::unique_ptr<testing::ControlPlane> plane_;
  static inline bool controllers_ = false;
  std::unique_ptr<Client> client_;
};

}  // namespace millrace::controller::kube
