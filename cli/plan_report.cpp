#include "cli/plan_report.h"

#include <sstream>

#include "cli/rehearsal.h"
#include "cli/table.h"
#include "operator/api/model_deployment.h"
#include "operator/api/quantity.h"
#include "operator/plan/plan.h"
#include "operator/plan/revision.h"
#include "operator/resources/config_map.h"
#include "operator/resources/service.h"

namespace millrace::cli {
namespace {

using controller::Spec;

// Nodes of which nothing is known but their zone: large enough for anything.
std::vector<controller::NodeView> pretended_nodes(const Spec& spec, const std::vector<std::string>& zones) {
  std::vector<controller::NodeView> nodes;
  for (const std::string& zone : zones) {
    controller::NodeView node{"node-" + zone, zone, true, {}};
    for (const auto& [resource, quantity] : controller::pod_needs(spec)) node.allocatable[resource] = "1E";
    nodes.push_back(node);
  }
  return nodes;
}

std::string resources_text(const Spec& spec) {
  std::string text;
  for (const auto& [resource, quantity] : controller::pod_needs(spec)) {
    text += (text.empty() ? "" : ", ") + quantity + " " + resource;
  }
  return text.empty() ? "asks for nothing" : "asks for " + text;
}

std::string source_text(const controller::ModelSource& source) {
  if (source.kind == controller::ModelSource::Kind::kHostPath) return "folder " + source.path + " of the node";
  return "folder /" + source.path + " of claim " + source.claim;
}

std::string count(std::int64_t number, const std::string& noun) {
  return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
}

std::string totals(const Spec& spec) {
  const std::int64_t pods = std::int64_t{spec.replicas} * spec.pods_per_group();
  std::string text = count(pods, "pod");
  for (const auto& [resource, quantity] : controller::pod_needs(spec)) {
    const double all = controller::parse_quantity(quantity).value_or(0) * static_cast<double>(pods);
    std::ostringstream number;
    number << all;
    text += ", " + (resource == "memory" ? controller::format_bytes(all) : number.str()) + " " + resource;
  }
  return text;
}

std::string summary(const controller::Parent& parent) {
  const Spec& spec = parent.spec;
  const auto config = controller::agent_config(spec);
  std::ostringstream out;
  out << "ModelDeployment " << to_string(parent.key) << ", revision " << parent.revision << "\n"
      << "  model      " << spec.model.name << " from " << source_text(spec.model.source) << "\n"
      << "  groups     " << spec.replicas << ", each " << count(spec.parallelism.tensor, "rank") << " in "
      << count(spec.pods_per_group(), "pod") << " of one zone";
  if (spec.parallelism.expert > 1) out << ", experts over " << spec.parallelism.expert << " ranks";
  out << "\n"
      << "  each pod   " << count(spec.devices.per_pod, "rank") << " on " << spec.devices.resource << "; "
      << resources_text(spec) << "\n"
      << "  in all     " << totals(spec) << "; one group more while a rollout is going on\n"
      << "  engine     " << config.max_num_seqs << " sequences and " << config.max_num_batched_tokens
      << " tokens in a step, " << controller::format_bytes(static_cast<double>(config.cache_bytes))
      << " of caches per rank, context "
      << (config.max_model_len == 0 ? "as the model allows" : std::to_string(config.max_model_len)) << "\n"
      << "  endpoint   " << controller::endpoint_url(parent) << (spec.endpoint.api_key ? ", with an API key" : "")
      << "\n"
      << "  drain      at most " << spec.drain_timeout_seconds << " s\n";
  return out.str();
}

std::string pod_table(const Spec& spec, const controller::Plan& plan) {
  std::vector<Row> rows{{"GROUP", "ZONE", "POD", "RANKS", "ROLE"}};
  for (const controller::CreatePod& pod : plan.create) {
    const int first = pod.pod_index * spec.devices.per_pod;
    const int last = first + spec.devices.per_pod - 1;
    rows.push_back({pod.group, pod.zone.empty() ? "-" : pod.zone, pod.group + "-" + std::to_string(pod.pod_index),
                    first == last ? std::to_string(first) : std::to_string(first) + "-" + std::to_string(last),
                    pod.pod_index == 0 ? "leader" : "follower"});
  }
  return format_table(rows);
}

}  // namespace

PlanReport report_plan(const controller::kube::Object& object, const std::vector<std::string>& zones,
                       const std::string& failing_zone) {
  controller::ParsedSpec parsed = controller::parse_spec(object, controller::UnknownFields::kRefuse);
  PlanReport report;
  if (!parsed.ok()) {
    report.refused = true;
    report.text = "ModelDeployment " + object.name() + " would be refused:\n";
    for (const std::string& problem : parsed.problems) report.text += "  " + problem + "\n";
    return report;
  }
  const std::string revision = controller::revision_of(parsed.spec);
  controller::kube::Object named = object;
  if (named.ns().empty()) named.json()["metadata"]["namespace"] = "default";
  const controller::Parent parent = controller::parent_of(named, parsed.spec, revision);
  const auto& where = parsed.spec.zones.empty() ? zones : parsed.spec.zones;
  const controller::Observed nothing{{}, pretended_nodes(parsed.spec, where), {}};
  const controller::Plan plan =
      controller::plan(object.name(), parsed.spec, revision, nothing, std::chrono::system_clock::now());
  report.text = summary(parent) + "\n" + pod_table(parsed.spec, plan);
  if (!failing_zone.empty()) {
    report.text += "\n" + rehearse_failure({object.name(), parsed.spec, revision, nothing.nodes}, failing_zone);
  }
  return report;
}

}  // namespace millrace::cli
