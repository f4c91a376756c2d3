#include "operator/resources/pod.h"

#include "common/agent_config.h"
#include "operator/api/labels.h"
#include "operator/resources/admin_secret.h"
#include "operator/resources/config_map.h"
#include "operator/resources/tls_secret.h"

namespace millrace::controller {
namespace {

constexpr const char* kShapeAnnotation = "millrace.dev/group-shape";
constexpr const char* kConfigPath = "/etc/millrace/config";
constexpr const char* kAdminPath = "/etc/millrace/admin";
constexpr const char* kApiKeyPath = "/etc/millrace/api-key";
constexpr const char* kTlsPath = "/etc/millrace/tls";
constexpr int kUser = 65532;  // "nonroot" of common base images

class PodBuilder {
 public:
  PodBuilder(const Parent& parent, const CreatePod& wanted)
      : parent_(parent), spec_(parent.spec), template_(parent.spec.pod_template), wanted_(wanted) {}

  kube::Object build() const {
    kube::Object pod = new_child(parent_, kube::kPod, wanted_.group + "-" + std::to_string(wanted_.pod_index));
    Json& metadata = pod.json()["metadata"];
    for (const auto& [name, value] : labels()) metadata["labels"][name] = value;
    metadata["annotations"] = annotations();
    pod.json()["spec"] = pod_spec();
    return pod;
  }

 private:
  StringMap labels() const {
    StringMap labels = template_.labels;
    labels[kGroupLabel] = wanted_.group;
    labels[kPodIndexLabel] = std::to_string(wanted_.pod_index);
    labels[kRevisionLabel] = parent_.revision;
    if (!wanted_.zone.empty()) labels[kZoneLabel] = wanted_.zone;
    return labels;
  }

  StringMap annotations() const {
    StringMap annotations = template_.annotations;
    annotations["kubectl.kubernetes.io/default-container"] = kAgentContainer;
    Json shape = {
        {"tensor", spec_.parallelism.tensor}, {"expert", spec_.parallelism.expert}, {"perPod", spec_.devices.per_pod}};
    if (spec_.tls) shape["tlsSecret"] = spec_.tls->secret_name;
    annotations[kShapeAnnotation] = shape.dump();
    return annotations;
  }

  Json pod_spec() const {
    Json spec = {{"restartPolicy", "Always"},
                 {"automountServiceAccountToken", false},
                 {"enableServiceLinks", false},
                 {"terminationGracePeriodSeconds", spec_.termination_grace_seconds()},
                 {"securityContext",
                  {{"runAsNonRoot", true},
                   {"runAsUser", kUser},
                   {"runAsGroup", kUser},
                   {"fsGroup", kUser},
                   {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
                 {"topologySpreadConstraints",
                  {{{"maxSkew", 1},
                    {"topologyKey", kHostname},
                    {"whenUnsatisfiable", "ScheduleAnyway"},
                    {"labelSelector", {{"matchLabels", {{kDeploymentLabel, parent_.key.name}}}}}}}},
                 {"containers", Json::array({container()})},
                 {"volumes", volumes()}};
    StringMap selector = template_.node_selector;
    if (!wanted_.zone.empty()) selector[kTopologyZone] = wanted_.zone;
    put(spec, "nodeSelector", selector);
    put(spec, "tolerations", template_.tolerations);
    put(spec, "affinity", affinity());
    put(spec, "imagePullSecrets", template_.image_pull_secrets);
    put(spec, "priorityClassName", template_.priority_class_name);
    put(spec, "serviceAccountName", template_.service_account_name);
    put(spec, "runtimeClassName", template_.runtime_class_name);
    if (wanted_.pod_index == 0) spec["readinessGates"] = {{{"conditionType", kRoutableGate}}};  // requests arrive there
    return spec;
  }

  // What the user asks for, and away from certain nodes. The terms of a node affinity are alternatives: each of them
  // has to avoid the nodes.
  Json affinity() const {
    if (wanted_.avoid_nodes.empty()) return template_.affinity;
    Json affinity = template_.affinity.is_object() ? template_.affinity : Json::object();
    Json& terms = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    if (!terms.is_array() || terms.empty()) terms = Json::array({Json::object()});
    for (Json& term : terms) {
      for (const std::string& node : wanted_.avoid_nodes) {  // a field selector takes one value
        term["matchFields"].push_back({{"key", "metadata.name"}, {"operator", "NotIn"}, {"values", {node}}});
      }
    }
    return affinity;
  }

  static void put(Json& json, const char* key, const Json& value) {
    const bool no_text = value.is_string() && value.get_ref<const std::string&>().empty();
    if (!value.empty() && !no_text) json[key] = value;
  }

  Json container() const {
    Json container = {{"name", kAgentContainer},
                      {"image", spec_.image},
                      {"command", {"millrace-agent"}},
                      {"args", args()},
                      {"env", env()},
                      {"ports",
                       {{{"name", "http"}, {"containerPort", spec_.endpoint.port}, {"protocol", "TCP"}},
                        {{"name", "admin"}, {"containerPort", common::kDefaultAdminPort}, {"protocol", "TCP"}}}},
                      {"resources", resources()},
                      {"terminationMessagePolicy", "FallbackToLogsOnError"},  // status can say why it ended
                      {"securityContext",
                       {{"allowPrivilegeEscalation", false},
                        {"readOnlyRootFilesystem", true},
                        {"capabilities", {{"drop", {"ALL"}}}}}},
                      {"startupProbe", probe("/livez", 1, 120)},
                      {"livenessProbe", probe("/livez", 10, 6)},
                      {"readinessProbe", probe("/readyz", 1, 2)},
                      {"lifecycle", {{"preStop", {{"exec", {{"command", drain_command()}}}}}}},
                      {"volumeMounts", mounts()}};
    put(container, "imagePullPolicy", template_.image_pull_policy);
    return container;
  }

  Json args() const {
    Json args = {"--config",
                 std::string(kConfigPath) + "/" + kAgentConfigFile,
                 "--model",
                 kModelPath,
                 "--admin-token-file",
                 std::string(kAdminPath) + "/" + kTokenKey,
                 "--pod-index",
                 std::to_string(wanted_.pod_index)};
    if (spec_.endpoint.api_key) {
      args.push_back("--api-key-file");
      args.push_back(std::string(kApiKeyPath) + "/key");
    }
    add_tls(args);
    return args;
  }

  void add_tls(Json& args) const {
    if (!spec_.tls) return;
    args.push_back("--tls-cert-file");
    args.push_back(std::string(kTlsPath) + "/" + kTlsCertificateKey);
    args.push_back("--tls-key-file");
    args.push_back(std::string(kTlsPath) + "/" + kTlsPrivateKeyKey);
  }

  // Before SIGTERM: whoever deletes the pod, routers go on sending requests for a moment.
  Json drain_command() const {
    Json command = {"millrace-agent",     "--drain",
                    "--config",           std::string(kConfigPath) + "/" + kAgentConfigFile,
                    "--admin-token-file", std::string(kAdminPath) + "/" + kTokenKey};
    add_tls(command);
    return command;
  }

  // POD_IP is what the agent listens on, and where the hook finds it.
  Json env() const {
    Json env = Json::array({{{"name", "POD_IP"}, {"valueFrom", {{"fieldRef", {{"fieldPath", "status.podIP"}}}}}}});
    for (const Json& variable : template_.env) env.push_back(variable);
    return env;
  }

  Json resources() const {
    StringMap requests = spec_.resources.requests;
    StringMap limits = spec_.resources.limits;
    if (!spec_.devices.is_cpu()) {
      requests[spec_.devices.resource] = std::to_string(spec_.devices.per_pod);
      limits[spec_.devices.resource] = std::to_string(spec_.devices.per_pod);
    }
    Json json = Json::object();
    put(json, "requests", requests);
    put(json, "limits", limits);
    return json;
  }

  Json probe(const char* path, int period, int failures) const {
    return {{"httpGet", {{"path", path}, {"port", "admin"}, {"scheme", spec_.tls ? "HTTPS" : "HTTP"}}},
            {"periodSeconds", period},
            {"timeoutSeconds", path == std::string("/livez") ? 5 : 2},
            {"failureThreshold", failures}};
  }

  Json volumes() const {
    Json volumes = {{{"name", "millrace-config"}, {"configMap", {{"name", config_map_name(parent_)}}}},
                    {{"name", "millrace-admin"},
                     {"secret", {{"secretName", admin_secret_name(parent_.key)}, {"defaultMode", 0440}}}},
                    model_volume(),
                    {{"name", kTmpVolume}, {"emptyDir", Json::object()}}};
    if (const auto& ref = spec_.endpoint.api_key) {
      volumes.push_back(
          {{"name", "millrace-api-key"},
           {"secret",
            {{"secretName", ref->name}, {"defaultMode", 0440}, {"items", {{{"key", ref->key}, {"path", "key"}}}}}}});
    }
    if (spec_.tls) {
      volumes.push_back(
          {{"name", "millrace-tls"}, {"secret", {{"secretName", spec_.tls->secret_name}, {"defaultMode", 0440}}}});
    }
    for (const Json& volume : template_.volumes) volumes.push_back(volume);
    return volumes;
  }

  Json model_volume() const {
    const ModelSource& source = spec_.model.source;
    if (source.kind == ModelSource::Kind::kHostPath) {
      return {{"name", kModelVolume}, {"hostPath", {{"path", source.path}, {"type", "Directory"}}}};
    }
    return {{"name", kModelVolume}, {"persistentVolumeClaim", {{"claimName", source.claim}, {"readOnly", true}}}};
  }

  Json mounts() const {
    Json model = {{"name", kModelVolume}, {"mountPath", kModelPath}, {"readOnly", true}};
    const ModelSource& source = spec_.model.source;
    if (source.kind == ModelSource::Kind::kClaim && !source.path.empty()) model["subPath"] = source.path;
    Json mounts = {{{"name", "millrace-config"}, {"mountPath", kConfigPath}, {"readOnly", true}},
                   {{"name", "millrace-admin"}, {"mountPath", kAdminPath}, {"readOnly", true}},
                   model,
                   {{"name", kTmpVolume}, {"mountPath", "/tmp"}}};
    if (spec_.endpoint.api_key) {
      mounts.push_back({{"name", "millrace-api-key"}, {"mountPath", kApiKeyPath}, {"readOnly", true}});
    }
    if (spec_.tls) mounts.push_back({{"name", "millrace-tls"}, {"mountPath", kTlsPath}, {"readOnly", true}});
    for (const Json& mount : template_.volume_mounts) mounts.push_back(mount);
    return mounts;
  }

  const Parent& parent_;
  const Spec& spec_;
  const PodTemplate& template_;
  const CreatePod& wanted_;
};

Json annotated_shape(const kube::Object& pod) {
  Json shape = Json::parse(pod.annotation(kShapeAnnotation).value_or(""), nullptr, false);
  return shape.is_object() ? shape : Json::object();
}

}  // namespace

kube::Object build_pod(const Parent& parent, const CreatePod& wanted) {
  return PodBuilder(parent, wanted).build();
}

std::string tls_secret_of_pod(const kube::Object& pod) {
  return kube::string_in(annotated_shape(pod), "tlsSecret");
}

std::optional<GroupShape> shape_of_pod(const kube::Object& pod) {
  const Json shape = annotated_shape(pod);
  const std::optional<std::string> group = pod.label(kGroupLabel);
  if (!group) return std::nullopt;
  const auto number = [&](const char* key) {
    const auto found = shape.find(key);
    return found != shape.end() && found->is_number_integer() ? found->get<std::int32_t>() : 0;
  };
  GroupShape result{*group, number("tensor"), number("expert"), number("perPod")};
  if (result.tensor_parallel < 1 || result.expert_parallel < 1 || result.ranks_per_pod < 1) return std::nullopt;
  return result;
}

}  // namespace millrace::controller
