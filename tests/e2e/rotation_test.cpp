// The admin token of agents that serve is replaced: real agents, which read the mounted Secret again.
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "common/agent_config.h"
#include "common/error.h"
#include "operator/api/labels.h"
#include "operator/resources/admin_secret.h"
#include "tests/e2e/local_cluster_fixture.h"

namespace millrace::e2e {
namespace {

namespace kube = controller::kube;
using controller::AdminToken;

class RotationTest : public LocalClusterFixture {
 protected:
  std::vector<kube::Object> pods() { return cluster_->client().list(kube::kPod, {}).items; }
  std::set<std::string> pod_uids() {
    std::set<std::string> uids;
    for (const kube::Object& pod : pods()) uids.insert(pod.uid());
    return uids;
  }
  AdminToken stored() {
    const auto secret = cluster_->client().get(kube::kSecret, {"default", "tiny-moe-admin"});
    return controller::token_of(*secret, std::chrono::system_clock::now()).value_or(AdminToken{});
  }
  bool every_agent_answers(const std::string& token, int status) {
    for (const kube::Object& pod : pods()) {
      common::HttpCall call;
      call.host = pod.string_at("/status/podIP");
      call.port = common::kDefaultAdminPort;
      call.target = "/admin/v1/status";
      call.headers = {{"Authorization", "Bearer " + token}};
      if (common::http_call(call).status != status) return false;
    }
    return true;
  }
};

TEST_F(RotationTest, NoPodIsReplacedAndNoRequestFailsWhileTheAdminTokenIs) {
  ASSERT_NO_FATAL_FAILURE(serve({{"replicas", 1}}));
  const std::set<std::string> before = pod_uids();
  const std::string old = stored().token;
  std::atomic<bool> stop{false};
  std::atomic<int> good{0};
  std::atomic<int> bad{0};
  std::thread client([&] {
    while (!stop) (answers(question("What is 3 + 4?", 4)) ? good : bad)++;
  });
  const kube::ObjectKey key{"default", "tiny-moe"};
  cluster_->client().patch(kube::kModelDeployment, key,
                           {{"metadata", {{"annotations", {{controller::kRotateAnnotation, "1"}}}}}});
  EXPECT_TRUE(eventually([&] { return stored().token != old; }));
  EXPECT_TRUE(eventually([&] { return every_agent_answers(stored().token, 200); }));
  EXPECT_TRUE(every_agent_answers(old, 200)) << "for a while";
  cluster_->client().patch(kube::kSecret, {"default", "tiny-moe-admin"}, {{"data", {{"previous", nullptr}}}});
  EXPECT_TRUE(eventually([&] { return every_agent_answers(old, 401); }));
  const int then = good;
  EXPECT_TRUE(eventually([&] { return good > then + 5; }));
  stop = true;
  client.join();
  EXPECT_TRUE(every_agent_answers(stored().token, 200));
  EXPECT_TRUE(ready()) << status().dump(2);
  EXPECT_EQ(pod_uids(), before);
  EXPECT_EQ(bad, 0);
}

}  // namespace
}  // namespace millrace::e2e
