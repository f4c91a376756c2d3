// Whom the operator trusts, as Secrets come, change and go.
#include "operator/reconcile/tls_trust.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base64.h"
#include "common/http_client.h"
#include "common/http_server.h"
#include "tests/operator/reconcile/world.h"
#include "tests/support/certificates.h"
#include "tests/support/mounted_secret.h"

namespace millrace::controller {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::World;
using Files = std::map<std::string, std::string>;

constexpr const char* kServerName = "m.default.svc";

void put_secret(World& world, const Files& files) {
  Json data = Json::object();
  for (const auto& [name, text] : files) data[name] = common::encode_base64(text);
  const kube::ObjectKey key{"default", "m-tls"};
  if (world.cluster.get(kube::kSecret, key)) world.cluster.remove(kube::kSecret, key);
  kube::Object secret(kube::kSecret, key);
  secret.json()["data"] = data;
  world.cluster.create(kube::kSecret, secret);
}

Files with_authority(const test::CertificateAuthority& authority) {
  Files files = authority.issue(kServerName);
  files["ca.crt"] = authority.pem();
  return files;
}

struct Trusting : World {
  Trusting() { apply({{"replicas", 1}, {"tls", {{"secretName", "m-tls"}}}}); }

  // Whether the operator would call an agent that shows this certificate.
  bool trusts(const Files& shown) {
    const test::MountedSecret files(shown);
    common::HttpServerOptions options;
    options.tls = common::TlsServerFiles{files.file("tls.crt"), files.file("tls.key")};
    const common::HttpServer server(options, [](common::HttpRequest) { return common::HttpResponse{}; });
    common::HttpCall call;
    call.host = "127.0.0.1";
    call.port = server.port();
    call.tls = probe.watched[key].at(0).tls;
    try {
      return common::http_call(call).status == 200;
    } catch (const common::Error&) {
      return false;
    }
  }
  std::string ready_message() {
    const kube::Object object = deployment();
    for (const Json& condition : object.at("/status/conditions")) {
      if (condition["type"] == "Ready")
        return condition["reason"].get<std::string>() + ": " + condition["message"].get<std::string>();
    }
    return "";
  }
};

TEST(TlsTrust, AgentsAreTrustedThatTheAuthorityOfTheSecretVouchesFor) {
  const test::CertificateAuthority authority;
  Trusting world;
  put_secret(world, with_authority(authority));
  ASSERT_TRUE(world.settle());
  EXPECT_TRUE(world.trusts(authority.issue(kServerName)));
  EXPECT_FALSE(world.trusts(authority.issue("other.default.svc")));
  EXPECT_FALSE(world.trusts(test::CertificateAuthority().issue(kServerName)));
}

TEST(TlsTrust, WithoutAnAuthorityTheCertificateItselfIsTrusted) {
  const Files files = test::CertificateAuthority().issue(kServerName);
  Trusting world;
  put_secret(world, files);
  ASSERT_TRUE(world.settle());
  EXPECT_TRUE(world.trusts(files));
  EXPECT_FALSE(world.trusts(test::CertificateAuthority().issue(kServerName)));
}

TEST(TlsTrust, WhileACertificateIsRenewedTheOneBeforeIsTrustedToo) {
  const Files before = with_authority({});
  const Files after = with_authority({});
  Trusting world;
  put_secret(world, before);
  ASSERT_TRUE(world.settle());
  put_secret(world, after);
  world.reconcile();
  EXPECT_TRUE(world.trusts(before));
  EXPECT_TRUE(world.trusts(after));
  world.cluster.remove(kube::kSecret, {"default", "m-tls"});
  world.reconcile();
  EXPECT_TRUE(world.trusts(after)) << "a Secret that is gone takes no trust away";
}

TEST(TlsTrust, SaysWhatIsWrongWithTheSecret) {
  Trusting world;
  world.reconcile();
  EXPECT_THAT(world.ready_message(),
              AllOf(HasSubstr("SecretMissing: Secret m-tls"), HasSubstr("kubectl create secret tls m-tls -n default")));
  put_secret(world, {{"cert.pem", "x"}});
  world.reconcile();
  EXPECT_THAT(world.ready_message(), HasSubstr("under the key tls.crt"));
  put_secret(world, {{"tls.crt", "-----BEGIN CERTIFICATE-----"}, {"tls.key", "x"}});
  world.reconcile();
  EXPECT_THAT(world.ready_message(), HasSubstr("under the key tls.key"));
  put_secret(world, with_authority({}));
  world.reconcile();
  EXPECT_THAT(world.ready_message(), Not(HasSubstr("Secret")));
}

TEST(TlsTrust, OldGroupsAreCalledAsTheyWereMade) {
  World world;
  world.apply({{"replicas", 1}});
  ASSERT_TRUE(world.settle());
  EXPECT_FALSE(world.probe.watched[world.key].at(0).tls);
  put_secret(world, with_authority({}));
  world.apply({{"replicas", 1}, {"tls", {{"secretName", "m-tls"}}}});
  world.reconcile();
  world.run_pods();
  world.reconcile();
  std::vector<bool> over_tls;
  for (const ProbeGroup& group : world.probe.watched[world.key]) over_tls.push_back(group.tls != nullptr);
  EXPECT_THAT(over_tls, ::testing::UnorderedElementsAre(false, true));
  world.run_agents();
  ASSERT_TRUE(world.settle());
  ASSERT_EQ(world.probe.watched[world.key].size(), 1U);
  EXPECT_TRUE(world.probe.watched[world.key].at(0).tls);
}

}  // namespace
}  // namespace millrace::controller
