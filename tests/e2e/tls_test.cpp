// Real agents that speak TLS, as the operator, the node and clients see them.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "common/base64.h"
#include "tests/e2e/local_cluster_fixture.h"
#include "tests/support/certificates.h"

namespace millrace::e2e {
namespace {

namespace kube = controller::kube;

constexpr const char* kServerName = "tiny-moe.default.svc";

class TlsTest : public LocalClusterFixture {
 protected:
  void put_secret(const test::CertificateAuthority& authority) {
    Json data = {{"ca.crt", common::encode_base64(authority.pem())}};
    for (const auto& [name, text] : authority.issue(kServerName)) data[name] = common::encode_base64(text);
    const kube::ObjectKey key{"default", "chat-tls"};
    if (cluster_->client().get(kube::kSecret, key)) {
      cluster_->client().patch(kube::kSecret, key, {{"data", data}});
      return;
    }
    kube::Object secret(kube::kSecret, key);
    secret.json()["type"] = "kubernetes.io/tls";
    secret.json()["data"] = data;
    cluster_->client().create(kube::kSecret, secret);
  }
  bool answers_one_who_trusts(const std::string& pem) {
    common::HttpCall call = question("What is 3 + 4?", 4);
    call.tls = common::make_tls_client({.ca_pem = pem, .server_name = kServerName});
    return answers(call);
  }
  std::string first_pod() { return cluster_->client().list(kube::kPod, {}).items.at(0).uid(); }
};

TEST_F(TlsTest, ServesAndTakesARenewedCertificateWithoutARefusedRequest) {
  const test::CertificateAuthority authority;
  const test::CertificateAuthority next;
  put_secret(authority);
  ASSERT_NO_FATAL_FAILURE(serve({{"replicas", 1}, {"tls", {{"secretName", "chat-tls"}}}}));
  EXPECT_TRUE(answers_one_who_trusts(authority.pem()));
  EXPECT_FALSE(answers_one_who_trusts(next.pem()));
  EXPECT_FALSE(answers(question("What is 3 + 4?", 4))) << "plain HTTP";
  const std::string pod = first_pod();
  std::atomic<bool> stop{false};
  std::atomic<int> bad{0};
  std::thread client([&] {
    while (!stop) bad += answers_one_who_trusts(authority.pem() + next.pem()) ? 0 : 1;
  });
  put_secret(next);
  EXPECT_TRUE(eventually([&] { return answers_one_who_trusts(next.pem()); }));
  EXPECT_TRUE(eventually([&] { return ready() && !answers_one_who_trusts(authority.pem()); }));
  stop = true;
  client.join();
  EXPECT_EQ(bad, 0);
  EXPECT_EQ(first_pod(), pod);
}

TEST_F(TlsTest, SaysWhyAgentsDoNotStartWithAKeyOfAnotherCertificate) {
  const test::CertificateAuthority authority;
  put_secret(authority);
  const std::string other = common::encode_base64(authority.issue(kServerName).at("tls.key"));
  cluster_->client().patch(kube::kSecret, {"default", "chat-tls"}, {{"data", {{"tls.key", other}}}});
  apply({{"replicas", 1}, {"tls", {{"secretName", "chat-tls"}}}});
  EXPECT_TRUE(eventually([&] {
    return condition("Ready").value("message", "").find("does not belong to the certificate") != std::string::npos;
  })) << status().dump(2);
}

}  // namespace
}  // namespace millrace::e2e
