#include "tests/operator/kube/client_contract.h"

#include <algorithm>
#include <thread>

#include "operator/kube/kubeconfig.h"
#include "operator/local/memory_cluster.h"

namespace millrace::controller::kube {
namespace {

using testing::ControlPlane;

std::string lower_with_dashes(const std::string& name) {
  std::string result;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') {
      if (!result.empty()) result += '-';
      result += static_cast<char>(c - 'A' + 'a');
    } else if (c != '_' && c != '/') {
      result += c;
    }
  }
  return result.substr(0, 40);
}

}  // namespace

void ClientContract::SetUp() {
  if (GetParam() == Side::kMemory) {
    client_ = std::make_unique<local::MemoryCluster>();
    return;
  }
  if (const std::string reason = ControlPlane::unavailable(); !reason.empty()) {
    GTEST_SKIP() << "no API server: " << reason;
  }
  if (plane_ == nullptr) {
    plane_ = std::make_unique<ControlPlane>();
    plane_->install_crd();
    controllers_ = plane_->start_controllers();
  }
  client_ = connect(load_kubeconfig(plane_->kubeconfig()), {});
}

void ClientContract::TearDownTestSuite() {
  plane_.reset();
}

ObjectKey ClientContract::key(const std::string& suffix) const {
  const std::string test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  const std::string name = lower_with_dashes(test.substr(0, test.find('/')));
  return {"default", suffix.empty() ? name : name + "-" + suffix};
}

Object ClientContract::config_map(const std::string& suffix, const Json& data) const {
  Object object(kConfigMap, key(suffix));
  if (!data.empty()) object.json()["data"] = data;
  return object;
}

Object ClientContract::deployment(const std::string& suffix, const Json& spec) const {
  Object object(kModelDeployment, key(suffix));
  object.json()["spec"] = {{"replicas", 1}, {"model", {{"name", "m"}, {"source", "file:///models/m"}}}};
  object.json()["spec"].merge_patch(spec);
  return object;
}

Object ClientContract::pod(const std::string& suffix, const std::string& node) const {
  Object object(kPod, key(suffix));
  object.json()["spec"] = {{"containers", {{{"name", "c"}, {"image", "none"}}}}};
  if (!node.empty()) object.json()["spec"]["nodeName"] = node;
  return object;
}

Object ClientContract::owned(Object child, const Object& owner) {
  child.json()["metadata"]["ownerReferences"].push_back(controller_reference(owner));
  return child;
}

std::vector<WatchEvent> ClientContract::watched(const ResourceKind& kind, WatchOptions options,
                                                const std::function<bool(const std::vector<WatchEvent>&)>& enough) {
  std::vector<WatchEvent> events;
  std::stop_source stop;
  options.timeout = std::chrono::seconds(60);
  if (options.ns.empty()) options.ns = "default";
  client().watch(
      kind, options,
      [&](WatchEvent&& event) {
        if (event.type != EventType::kBookmark) events.push_back(std::move(event));
        if (enough(events)) stop.request_stop();
      },
      stop.get_token());
  return events;
}

void ClientContract::lose_history(const ObjectKey& key) {
  const int writes = GetParam() == Side::kMemory ? 20'100 : 3;  // more than it keeps
  for (int i = 0; i < writes; ++i) client().patch(kConfigMap, key, {{"data", {{"n", std::to_string(i)}}}});
  if (GetParam() == Side::kApiServer) plane_->restart_api_server();  // its watch cache starts anew
}

bool ClientContract::eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

std::optional<ApiError> ClientContract::error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const common::Error& error) {
    return as_api_error(error);
  }
  return std::nullopt;
}

common::Code ClientContract::code_of(const std::function<void()>& call) {
  const auto error = error_of(call);
  if (!error) ADD_FAILURE() << "nothing was refused";
  return error ? error->code() : common::Code::kInternal;
}

INSTANTIATE_TEST_SUITE_P(Memory, ClientContract, ::testing::Values(Side::kMemory));
INSTANTIATE_TEST_SUITE_P(ApiServer, ClientContract, ::testing::Values(Side::kApiServer));

}  // namespace millrace::controller::kube
