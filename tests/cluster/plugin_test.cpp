// `kubectl millrace`, as kubectl runs it, on a deployment that lives.
#include <cstdlib>

#include <gmock/gmock.h>

#include "tests/cluster/life_fixture.h"

namespace millrace::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

CommandResult plugin(const std::vector<std::string>& arguments) {
  const std::filesystem::path program = KUBECTL_MILLRACE, kubectl = find_program("kubectl");
  std::vector<std::string> argv = {
      "env", "PATH=" + program.parent_path().string() + ":" + kubectl.parent_path().string() + ":" + getenv("PATH"),
      kubectl, "millrace"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  argv.insert(argv.end(), {"--kubeconfig", Life::cluster().kubeconfig(), "--namespace", "default"});
  return run_command(argv);
}

void serve_revision(const std::string& name, const std::string& revision,
                    const Life::Json& more = Life::Json::object()) {
  Life::Json spec = {{"replicas", 2}, {"model", {{"revision", revision}}}};
  spec.update(more);
  Life::apply(name, spec);
}

bool waited_for(const std::string& name) {
  const CommandResult status = plugin({"status", name, "--watch", "--timeout", "120"});
  EXPECT_TRUE(status.ok()) << status.out << status.err;
  return status.ok();
}

std::string model_revision(const std::string& name) {
  return Life::get(name).string_at("/spec/model/revision");
}

TEST_F(Life, IsShownAndSteeredByThePluginOfKubectl) {
  serve_revision("steered", "one");
  ASSERT_TRUE(waited_for("steered"));
  serve_revision("steered", "two");
  ASSERT_TRUE(waited_for("steered"));
  const CommandResult history = plugin({"history", "steered"});
  EXPECT_THAT(history.out, HasSubstr("stable")) << history.err;
  EXPECT_EQ(std::count(history.out.begin(), history.out.end(), '\n'), 3) << history.out;
  EXPECT_THAT(plugin({"diff", "steered"}).out, HasSubstr("spec.model.revision: \"one\" -> \"two\""));

  EXPECT_THAT(plugin({"undo", "steered"}).out, HasSubstr("the spec now asks for revision 1"));
  EXPECT_EQ(model_revision("steered"), "one");
  ASSERT_TRUE(waited_for("steered"));

  const std::set<std::string> before = revisions("steered");
  EXPECT_THAT(plugin({"pause", "steered"}).out, HasSubstr("paused"));
  client_->patch(controller::kube::kModelDeployment, key("steered"), {{"spec", {{"model", {{"revision", "three"}}}}}});
  ASSERT_TRUE(eventually([] { return plugin({"status", "steered"}).out.find("is paused") != std::string::npos; }));
  ASSERT_TRUE(looked_again("steered", 2));
  EXPECT_EQ(revisions("steered"), before);
  EXPECT_EQ(plugin({"resume", "steered"}).out, "resumed\n");
  ASSERT_TRUE(waited_for("steered"));
  EXPECT_NE(revisions("steered"), before);
  EXPECT_EQ(plugin({"history", "nobody"}).code, 1);
  EXPECT_THAT(plugin({"history", "nobody"}).err, HasSubstr("nobody"));
}

TEST_F(Life, IsReportedWithoutSecrets) {
  const std::string in_variable = "hf_AbCdEfGhIjKlMnOpQrStUv", in_note = "Zx81Qw9LmPk4Rt7Vb2Nc";
  serve_revision("told", "one",
                 {{"podTemplate",
                   {{"env", Json::array({{{"name", "CACHE"}, {"value", in_variable}}})},
                    {"annotations", {{"example.com/note", "ask " + in_note + " for it"}}}}}});
  ASSERT_TRUE(waited_for("told"));
  const Object secret = *client_->get(controller::kube::kSecret, key("told-admin"));
  const auto bundle = cluster().dir() / "report.tar.gz";
  const CommandResult report = plugin({"report", "told", "--output", bundle});
  ASSERT_TRUE(report.ok()) << report.err;
  const std::string text = run_command({"tar", "-xzOf", bundle}).out;
  for (const Object& pod : pods("told")) EXPECT_THAT(text, HasSubstr(pod.name()));
  EXPECT_THAT(text, HasSubstr("gitVersion"));
  EXPECT_THAT(text, HasSubstr("node-a"));
  EXPECT_THAT(text, Not(HasSubstr(in_variable)));
  EXPECT_THAT(text, Not(HasSubstr(in_note)));
  for (const auto& [field, encoded] : secret.at("/data").items()) {
    const std::string plain = run_command({"base64", "-d"}, encoded.get<std::string>()).out;
    EXPECT_THAT(text, Not(HasSubstr(plain))) << field;
    EXPECT_THAT(text, Not(HasSubstr(encoded.get<std::string>()))) << field;
  }
}

}  // namespace
}  // namespace millrace::testing
