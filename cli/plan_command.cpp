#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/plan_report.h"
#include "cli/simulate.h"
#include "common/error.h"
#include "operator/api/manifest.h"
#include "operator/api/model_deployment.h"

namespace millrace::cli {
namespace {

struct PlanFlags {
  std::vector<std::string> files;
  std::vector<std::string> zones;
  std::string failing_zone;
  std::string trace;
  std::uint64_t seed = 1;
};

// spec.autoscaling of the first ModelDeployment of the files that has one. Throws when the spec is refused or none has.
controller::AutoscalingSpec autoscaling_of(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    for (const controller::kube::Object& object : controller::read_manifest(file)) {
      if (object.kind() != controller::kube::kModelDeployment.kind) continue;
      const controller::ParsedSpec parsed = parse_spec(object, controller::UnknownFields::kRefuse);
      if (!parsed.ok()) throw common::Error(common::Code::kInvalidArgument, file + ": " + parsed.problems.front());
      if (parsed.spec.autoscaling) return *parsed.spec.autoscaling;
    }
  }
  throw common::Error(common::Code::kInvalidArgument,
                      "no ModelDeployment has spec.autoscaling: add it, or leave out -f to use the trace's own limits");
}

int run_simulation(const PlanFlags& flags) {
  LoadTrace trace = read_trace(flags.trace);
  if (!flags.files.empty()) {
    trace.autoscaling = autoscaling_of(flags.files);
    trace.start_replicas =
        std::clamp(trace.start_replicas, trace.autoscaling.min_replicas, trace.autoscaling.max_replicas);
  }
  std::printf("%s", format_simulation(trace, simulate_all(trace, flags.seed)).c_str());
  return 0;
}

int run(const PlanFlags& flags) {
  if (!flags.trace.empty()) return run_simulation(flags);
  if (flags.files.empty()) {
    throw common::Error(common::Code::kInvalidArgument,
                        "nothing to plan: name a manifest with -f or a trace with --simulate");
  }
  bool refused = false;
  int deployments = 0;
  for (const std::string& file : flags.files) {
    for (const controller::kube::Object& object : controller::read_manifest(file)) {
      if (object.kind() != controller::kube::kModelDeployment.kind) continue;
      const PlanReport report = report_plan(object, flags.zones, flags.failing_zone);
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
  auto flags = std::make_shared<PlanFlags>();
  command->add_option("-f,--filename", flags->files, "Manifest (YAML or JSON); may be repeated");
  command->add_option("--zones", flags->zones, "Zones to pretend, separated by commas, when the manifest names none")
      ->delimiter(',');
  command->add_option("--fail-zone", flags->failing_zone,
                      "Zone of which to show what its failure would lead to, and its return");
  command->add_option("--simulate", flags->trace,
                      "Load trace (CSV) to replay against the autoscaler and two common rules; with -f, by the targets "
                      "and limits of the manifest");
  command->add_option("--seed", flags->seed, "Of the simulated arrivals")->capture_default_str();
  command->callback([flags, &status] { status = run(*flags); });
}

}  // namespace millrace::cli
