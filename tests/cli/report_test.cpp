// The support bundle, with secrets planted wherever people put them.
#include "cli/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <array>
#include <cstdlib>
#include <vector>

#include "cli/archive.h"
#include "cli/redact.h"
#include "common/error.h"
#include "operator/api/labels.h"
#include "tests/operator/reconcile/world.h"

namespace millrace::cli {
namespace {

namespace kube = controller::kube;
using controller::testing::CountingClient;
using controller::testing::World;
using kube::Json;
using ::testing::HasSubstr;
using ::testing::Not;

// None of these may leave the cluster.
const std::vector<std::string> kSecrets{
    "hf_AbCdEfGhIjKlMnOpQrStUv",          // in a variable
    "hunter2",                            // in a variable whose name says so
    "correct-horse",                      // in an argument that follows its name
    "s3cr3t-value",                       // in --password=
    "swordfish",                          // in a URL
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx",  // a JWT in an annotation
    "Zx81Qw9LmPk4Rt7Vb2Nc",               // letters and digits by chance, in a label-free annotation
    "open-sesame",                        // in a document within an annotation
    "MIIEvQIBADANBgkqhkiG9w0B",           // a private key in a log
    "abcdef0123456789abcdef0123456789",   // a header in a log
    "letmein99",                          // in a configuration
    "the-admin-token",                    // in the Secret
};

// No Secret is asked for, whatever else is.
class NoSecrets final : public kube::Client {
 public:
  explicit NoSecrets(kube::Client& inner) : inner_(inner) {}
  std::optional<kube::Object> get(const kube::ResourceKind& kind, const kube::ObjectKey& key) override {
    EXPECT_NE(kind.kind, "Secret");
    return inner_.get(kind, key);
  }
  kube::ListResult list(const kube::ResourceKind& kind, const kube::ListOptions& options) override {
    EXPECT_NE(kind.kind, "Secret");
    if (kind == kube::kNode) throw kube::ApiError(common::Code::kPermissionDenied, 403, "Forbidden", "nodes: no");
    return inner_.list(kind, options);
  }
  kube::Object create(const kube::ResourceKind&, const kube::Object& object) override { return wrote(object); }
  kube::Object apply(const kube::ResourceKind&, const kube::Object& object, const kube::ApplyOptions&) override {
    return wrote(object);
  }
  kube::Object patch(const kube::ResourceKind&, const kube::ObjectKey&, const Json&,
                     const kube::PatchOptions&) override {
    return wrote({});
  }
  bool remove(const kube::ResourceKind&, const kube::ObjectKey&, const kube::RemoveOptions&) override {
    wrote({});
    return false;
  }
  kube::WatchOutcome watch(const kube::ResourceKind&, const kube::WatchOptions&, const kube::WatchHandler&,
                           std::stop_token) override {
    return {};
  }
  kube::Eviction evict(const kube::ObjectKey&, std::optional<std::int64_t>) override {
    wrote({});
    return kube::Eviction::kNotFound;
  }

 private:
  static kube::Object wrote(const kube::Object& object) {
    ADD_FAILURE() << "a report changes nothing";
    return object;
  }
  kube::Client& inner_;
};

void plant(World& world) {
  const Json env = {
      {{"name", "CACHE"}, {"value", kSecrets[0]}},
      {{"name", "DB_PASSWORD"}, {"value", kSecrets[1]}},
      {{"name", "OMP_NUM_THREADS"}, {"value", "4"}},
      {{"name", "FROM_SECRET"}, {"valueFrom", {{"secretKeyRef", {{"name", "keys-of-chat"}, {"key", "token"}}}}}}};
  world.apply({{"replicas", 1}, {"podTemplate", {{"env", env}, {"annotations", {{"example.com/jwt", kSecrets[5]}}}}}});
  world.settle();
  const Json applied = {{"spec", {{"clientSecret", kSecrets[7]}}}};
  world.cluster.patch(
      kube::kModelDeployment, world.key,
      {{"metadata",
        {{"annotations",
          {{"example.com/applied", applied.dump()}, {"example.com/note", "ask " + kSecrets[6] + " for it"}}}}}});
  kube::Object secret(kube::kSecret, {"default", "keys-of-chat"});
  secret.json()["metadata"]["labels"][controller::kDeploymentLabel] = "m";
  secret.json()["stringData"]["token"] = kSecrets[11];
  world.cluster.create(kube::kSecret, secret);
  kube::Object sidecar(kube::kPod, {"default", "m-sidecar"});
  sidecar.json()["metadata"]["labels"][controller::kDeploymentLabel] = "m";
  sidecar.json()["spec"]["containers"] = {
      {{"name", "proxy"},
       {"args",
        {"--api-key", kSecrets[2], "--password=" + kSecrets[3], "--upstream=https://me:" + kSecrets[4] + "@host/x"}},
       {"ports", {{{"name", "admin"}, {"containerPort", 8001}}}}}};
  world.cluster.create(kube::kPod, sidecar);
  kube::Object config(kube::kConfigMap, {"default", "m-extra"});
  config.json()["metadata"]["labels"][controller::kDeploymentLabel] = "m";
  config.json()["data"]["config.json"] = Json{{"registry", {{"password", kSecrets[10]}, {"port", 8000}}}}.dump();
  world.cluster.create(kube::kConfigMap, config);
  kube::Object op(kube::kPod, {"ops", "operator-1"});
  op.json()["metadata"]["labels"] = {{"app.kubernetes.io/part-of", "millrace"},
                                     {"app.kubernetes.io/component", "operator"}};
  op.json()["spec"]["containers"] = {
      {{"name", "operator"}, {"ports", {{{"name", "metrics"}, {"containerPort", 8080}}}}}};
  world.cluster.create(kube::kPod, op);
}

std::string raw(const std::string& path) {
  if (path.find(":8001/proxy/metrics") != std::string::npos) {
    throw common::Error(common::Code::kUnauthenticated, "401 Unauthorized");
  }
  if (path.find(":8080/proxy/metrics") != std::string::npos) return "workqueue_depth{name=\"modeldeployment\"} 3\n";
  if (path == "/version") return R"({"gitVersion": "v1.34.9"})";
  return "level=info message=started tokens=17\nAuthorization: Bearer " + kSecrets[9] +
         "\n-----BEGIN RSA PRIVATE KEY-----\n" + kSecrets[8] + "\n-----END RSA PRIVATE KEY-----\nlast line\n";
}

ReportFiles gather(World& world) {
  NoSecrets client(world.cluster);
  ReportOptions options;
  options.ns = "default";
  options.program_version = "1.2.3";
  options.raw = raw;
  return gather_report(client, options);
}

std::string all_of(const ReportFiles& files) {
  std::string text;
  for (const auto& [path, content] : files) text += "== " + path + "\n" + content;
  return text;
}

TEST(SupportReport, HasNoSecretThatWasPlanted) {
  World world;
  plant(world);
  const std::string text = all_of(gather(world));
  for (const std::string& secret : kSecrets) EXPECT_THAT(text, Not(HasSubstr(secret)));
  EXPECT_THAT(text, HasSubstr(kRedacted));
}

TEST(SupportReport, KeepsWhatHelps) {
  World world;
  plant(world);
  const ReportFiles files = gather(world);
  const std::string folder = "deployments/default/m/";
  EXPECT_THAT(files.at(folder + "deployment.json"), HasSubstr("\"routableReplicas\": 1"));
  EXPECT_THAT(files.at(folder + "pods.json"), HasSubstr("\"OMP_NUM_THREADS\""));
  EXPECT_THAT(files.at(folder + "pods.json"), HasSubstr("\"keys-of-chat\"")) << "the name of a Secret is none";
  EXPECT_THAT(files.at(folder + "revisions.json"), HasSubstr("ControllerRevision"));
  EXPECT_THAT(files.at(folder + "configmaps.json"), HasSubstr("8000"));
  EXPECT_THAT(files.at("version.json"), HasSubstr("v1.34.9"));
  EXPECT_THAT(files.at("operator/operator-1.metrics"), HasSubstr("workqueue_depth{name=\"modeldeployment\"} 3"));
  EXPECT_THAT(files.at("operator/operator-1.log"), HasSubstr("message=started tokens=17"));
  EXPECT_THAT(files.at("operator/operator-1.log"), HasSubstr("last line"));
}

TEST(SupportReport, GoesOnWithoutWhatItMayNotRead) {
  World world;
  plant(world);
  const std::string readme = gather(world).at("README.txt");
  EXPECT_THAT(readme, HasSubstr("kubectl-millrace 1.2.3"));
  EXPECT_THAT(readme, HasSubstr("m-sidecar.metrics: 401 Unauthorized"));
  EXPECT_THAT(readme, HasSubstr("nodes in all namespaces: "));
}

TEST(SupportReport, SaysThatADeploymentIsNotThere) {
  World world;
  ReportOptions options;
  options.ns = "default";
  options.name = "nobody";
  EXPECT_THROW(gather_report(world.cluster, options), common::Error);
}

TEST(Redaction, KnowsNamesOfSecretsFromNamesOfOtherThings) {
  for (const char* name :
       {"TOKEN", "HF_TOKEN", "apiKey", "api-key", "--db-password", "clientSecret", "Authorization"}) {
    EXPECT_TRUE(names_a_secret(name)) << name;
  }
  for (const char* name : {"secretName", "max_tokens", "tokenizer_file", "tokenExpirationSeconds", "key", "model"}) {
    EXPECT_FALSE(names_a_secret(name)) << name;
  }
}

TEST(Redaction, LeavesNamesOfObjectsVersionsAndDigests) {
  for (const char* text :
       {"chat-bcdfghjk-0-0", "9b2d6f0e-4c5a-4a7b-9d3e-1f2a3b4c5d6e", "millrace/agent:0.1.0", "2026-01-02T03:04:05Z",
        "/models/qwen3.5-122b-a10b/model-00001-of-00039.safetensors",
        "vllm:time_to_first_token_seconds_bucket{le=\"0.5\"} 3",
        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "KubeletHasSufficientMemory"}) {
    EXPECT_EQ(redact_text(text), text);
  }
}

TEST(Redaction, StandsLinesOfAnyLength) {
  const std::string text(1 << 20, 'a');
  EXPECT_LT(redact_text(text).size(), text.size());
}

// Reads the archive as tar does.
std::map<std::string, std::string> unpacked(const std::string& archive) {
  std::string tar(1 << 20, '\0');
  z_stream stream{};
  inflateInit2(&stream, 15 + 16);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(archive.data()));
  stream.avail_in = static_cast<uInt>(archive.size());
  stream.next_out = reinterpret_cast<Bytef*>(tar.data());
  stream.avail_out = static_cast<uInt>(tar.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  tar.resize(stream.total_out);
  inflateEnd(&stream);
  std::map<std::string, std::string> files;
  for (std::size_t at = 0; at + 512 <= tar.size() && tar[at] != '\0';) {
    const std::string prefix = tar.substr(at + 345, 155).c_str();
    const std::string name = tar.substr(at, 100).c_str();
    const auto size = static_cast<std::size_t>(std::strtoul(tar.substr(at + 124, 12).c_str(), nullptr, 8));
    files[prefix.empty() ? name : prefix + "/" + name] = tar.substr(at + 512, size);
    at += 512 + (size + 511) / 512 * 512;
  }
  return files;
}

TEST(SupportArchive, IsATarFileWithLongPathsToo) {
  const std::string far =
      "report/deployments/" + std::string(60, 'n') + "/" + std::string(40, 'd') + "/agents/pod.metrics";
  Archive archive(std::chrono::system_clock::time_point{});
  archive.add("a.txt", "first\n");
  archive.add(far, std::string(600, 'x'));
  archive.add("empty", "");
  const auto files = unpacked(archive.finish());
  EXPECT_EQ(files.size(), 3U);
  EXPECT_EQ(files.at("a.txt"), "first\n");
  EXPECT_EQ(files.at(far), std::string(600, 'x'));
  EXPECT_THROW(archive.add(std::string(300, 'p'), ""), common::Error);
}

}  // namespace
}  // namespace millrace::cli
