#include "cli/report.h"

#include "cli/redact.h"
#include "common/error.h"
#include "operator/api/labels.h"
#include "operator/kube/timestamp.h"
#include "operator/resources/controller_revision.h"

namespace millrace::cli {
namespace {

namespace kube = controller::kube;
using kube::Json;
using kube::Object;

constexpr const char* kOperatorLabels = "app.kubernetes.io/part-of=millrace,app.kubernetes.io/component=operator";
constexpr const char* kTail = "tailLines=5000&limitBytes=1000000";

// ":8001"; the proxy knows numbers only.
std::string port_named(const Object& pod, const std::string& name) {
  for (const Json& item : pod.at("/spec/containers")) {
    const Object container(item);
    for (const Json& port : container.at("/ports")) {
      if (port.value("name", "") == name) return ":" + std::to_string(port.value("containerPort", 0));
    }
  }
  return "";
}

class Report {
 public:
  Report(kube::Client& client, const ReportOptions& options) : client_(client), options_(options) {}

  ReportFiles gather() {
    fetch("version.json", "/version");
    gather_deployments();
    gather_nodes();
    gather_operator();
    write_summary();
    return std::move(files_);
  }

 private:
  void keep(const std::string& path, const Json& json) {
    files_[path] = redact(json).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  }

  void note(const std::string& path, const char* what) { missing_ += path + ": " + redact_text(what) + "\n"; }

  void fetch(const std::string& path, const std::string& url) {
    if (!options_.raw) return;
    try {
      files_[path] = redact_text(options_.raw(url));
    } catch (const common::Error& error) {
      note(path, error.what());
    }
  }

  // What matches, with its bookkeeping taken off; empty when it cannot be read.
  std::vector<Object> list(const kube::ResourceKind& kind, const std::string& ns, const std::string& labels) {
    kube::ListOptions options;
    options.ns = ns;
    options.label_selector = labels;
    try {
      std::vector<Object> items = client_.list(kind, options).items;
      for (Object& item : items) strip_bookkeeping(item);
      return items;
    } catch (const common::Error& error) {
      note(std::string(kind.plural) + " in " + (ns.empty() ? "all namespaces" : ns), error.what());
      return {};
    }
  }

  void keep(const std::string& path, const std::vector<Object>& objects) {
    Json all = Json::array();
    for (const Object& object : objects) all.push_back(object.json());
    keep(path, all);
  }

  void gather_deployments() {
    std::vector<Object> chosen;
    for (Object& object : list(kube::kModelDeployment, options_.ns, "")) {
      if (options_.name.empty() || object.name() == options_.name) chosen.push_back(std::move(object));
    }
    if (!options_.name.empty() && chosen.empty()) {
      throw common::Error(common::Code::kNotFound, "there is no ModelDeployment " + options_.ns + "/" + options_.name +
                                                       ": kubectl get md -A lists them");
    }
    std::map<std::string, std::vector<Object>> events;  // by namespace
    for (const Object& deployment : chosen) {
      if (!events.contains(deployment.ns())) events[deployment.ns()] = list(kube::kEvent, deployment.ns(), "");
      gather_deployment(deployment, events[deployment.ns()]);
      ++deployments_;
    }
  }

  void gather_deployment(const Object& deployment, const std::vector<Object>& events) {
    const std::string folder = "deployments/" + deployment.ns() + "/" + deployment.name() + "/";
    const std::string labels = std::string(controller::kDeploymentLabel) + "=" + deployment.name();
    keep(folder + "deployment.json", deployment.json());
    const std::vector<Object> pods = list(kube::kPod, deployment.ns(), labels);
    keep(folder + "pods.json", pods);
    keep(folder + "configmaps.json", list(kube::kConfigMap, deployment.ns(), labels));
    keep(folder + "services.json", list(kube::kService, deployment.ns(), labels));
    keep(folder + "revisions.json", list(controller::kControllerRevision, deployment.ns(), labels));
    std::vector<Object> about;
    for (const Object& event : events) {
      if (event.string_at("/regarding/name").starts_with(deployment.name())) about.push_back(event);
    }
    keep(folder + "events.json", about);
    for (const Object& pod : pods) gather_agent(folder, pod);
  }

  // Metrics of an agent that asks for a token are not ours to read.
  void gather_agent(const std::string& folder, const Object& pod) {
    const std::string url = "/api/v1/namespaces/" + pod.ns() + "/pods/" + pod.name();
    fetch(folder + "agents/" + pod.name() + ".log", url + "/log?" + kTail);
    fetch(folder + "agents/" + pod.name() + ".metrics", url + port_named(pod, "admin") + "/proxy/metrics");
  }

  void gather_nodes() {
    Json nodes = Json::array();
    for (const Object& node : list(kube::kNode, "", "")) {
      nodes.push_back({{"name", node.name()},
                       {"labels", node.labels()},
                       {"taints", node.at("/spec/taints")},
                       {"unschedulable", node.bool_at("/spec/unschedulable")},
                       {"allocatable", node.at("/status/allocatable")},
                       {"conditions", node.at("/status/conditions")},
                       {"nodeInfo", node.at("/status/nodeInfo")}});
    }
    keep("nodes.json", nodes);
  }

  void gather_operator() {
    const std::vector<Object> pods = list(kube::kPod, options_.operator_namespace, kOperatorLabels);
    keep("operator/pods.json", pods);
    std::map<std::string, std::vector<Object>> leases;
    for (const Object& pod : pods) {
      const std::string url = "/api/v1/namespaces/" + pod.ns() + "/pods/" + pod.name();
      fetch("operator/" + pod.name() + ".log", url + "/log?" + kTail);
      fetch("operator/" + pod.name() + ".metrics", url + port_named(pod, "metrics") + "/proxy/metrics");
      if (!leases.contains(pod.ns())) leases[pod.ns()] = list(kube::kLease, pod.ns(), "");
    }
    for (const auto& [ns, objects] : leases) keep("operator/leases-" + ns + ".json", objects);
    operators_ = pods.size();
  }

  void write_summary() {
    std::string text = "Millrace support bundle of " + kube::format_time(options_.now) + "\n" + "kubectl-millrace " +
                       options_.program_version + "\n" + std::to_string(deployments_) + " deployments, " +
                       std::to_string(operators_) + " operator pods\n" + "Values that may be secret are replaced by " +
                       kRedacted + "; Secrets were not read.\n";
    if (!missing_.empty()) text += "\nNot to be had:\n" + missing_;
    if (operators_ == 0) {
      text +=
          "\nNo pod of an operator was found. If it runs elsewhere, add its log by hand:\n"
          "  kubectl -n OPS logs deployment/millrace-operator --tail=5000\n";
    }
    files_["README.txt"] = text;
  }

  kube::Client& client_;
  const ReportOptions& options_;
  ReportFiles files_;
  std::string missing_;
  std::size_t deployments_ = 0;
  std::size_t operators_ = 0;
};

}  // namespace

ReportFiles gather_report(kube::Client& client, const ReportOptions& options) {
  return Report(client, options).gather();
}

}  // namespace millrace::cli
