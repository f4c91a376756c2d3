#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/plan_report.h"
#include "common/error.h"
#include "operator/api/manifest.h"

namespace millrace::cli {
namespace {

struct Flags {
  std::vector<std::string> files;
  std::vector<std::string> zones;
};

int run(const Flags& flags) {
  bool refused = false;
  int deployments = 0;
  for (const std::string& file : flags.files) {
    for (const controller::kube::Object& object : controller::read_manifest(file)) {
      if (object.kind() != controller::kube::kModelDeployment.kind) continue;
      const PlanReport report = report_plan(object, flags.zones);
      std::printf("%s%s", deployments++ == 0 ? "" : "\n", report.text.c_str());
      refused = refused || report.refused;
    }
  }
  if (deployments == 0) {
    throw common::Error(common::Code::kInvalidArgument, "no file has an object of kind ModelDeployment");
  }
  return refused ? 1 : 0;
}

}  // namespace

void add_plan_command(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("plan", "Shows what a manifest would lead to, without a cluster");
  auto flags = std::make_shared<Flags>();
  command->add_option("-f,--filename", flags->files, "Manifest (YAML or JSON); may be repeated")->required();
  command->add_option("--zones", flags->zones, "Zones to pretend, separated by commas, when the manifest names none")
      ->delimiter(',');
  command->callback([flags, &status] { status = run(*flags); });
}

}  // namespace millrace::cli
