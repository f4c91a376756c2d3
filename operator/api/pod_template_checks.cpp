#include "operator/api/pod_template_checks.h"

#include <algorithm>
#include <cctype>
#include <set>

namespace millrace::controller {
namespace {

std::string printed(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_variable_name(const std::string& name) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name.front()))) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; });
}

void refuse_own_keys(FieldReader& fields, const std::string& key, const StringMap& map) {
  for (const auto& [name, value] : map) {
    if (name.starts_with("millrace.dev/") || (key == "labels" && name.starts_with("app.kubernetes.io/"))) {
      fields.problem(key + "[" + name + "]", "belongs to the operator: use a prefix of your own");
    }
  }
}

void check_tolerations(FieldReader& fields, const Json& tolerations) {
  static const std::set<std::string> kEffects{"", "NoSchedule", "PreferNoSchedule", "NoExecute"};
  static const std::set<std::string> kOperators{"", "Exists", "Equal"};
  for (const Json& toleration : tolerations) {
    const std::string effect = kube::string_in(toleration, "effect");
    const std::string what = "has " + printed(toleration);
    if (!kEffects.contains(effect)) {
      fields.problem("tolerations", what + ": the effect is NoSchedule, PreferNoSchedule or NoExecute");
    }
    if (!kOperators.contains(kube::string_in(toleration, "operator"))) {
      fields.problem("tolerations", what + ": the operator is Exists or Equal");
    }
    if (kube::string_in(toleration, "operator") == "Exists" && !kube::string_in(toleration, "value").empty()) {
      fields.problem("tolerations", what + ": operator Exists takes no value, remove it or use Equal");
    }
    if (toleration.is_object() && toleration.contains("tolerationSeconds") && effect != "NoExecute") {
      fields.problem("tolerations", what + ": tolerationSeconds needs effect NoExecute");
    }
  }
}

void check_env(FieldReader& fields, const Json& env) {
  std::set<std::string> names;
  for (const Json& variable : env) {
    const std::string name = kube::string_in(variable, "name");
    if (!is_variable_name(name) || !names.insert(name).second) {
      fields.problem("env",
                     "has a variable named \"" + name +
                         "\": names have letters, digits and underscores, start with no digit and are used once");
    }
    if (variable.is_object() && variable.contains("value") && variable.contains("valueFrom")) {
      fields.problem("env", "gives " + name + " both value and valueFrom: remove one of them");
    }
  }
}

void check_volumes(FieldReader& fields, const PodTemplate& pod) {
  std::set<std::string> names;
  for (const Json& volume : pod.volumes) {
    const std::string name = kube::string_in(volume, "name");
    if (!is_dns_label(name, 63) || name.starts_with("millrace-") || !names.insert(name).second) {
      fields.problem("volumes", "has a volume named \"" + name +
                                    "\": names are DNS labels, used once, and do not start with millrace-");
    }
  }
  for (const Json& mount : pod.volume_mounts) {
    const bool sound = kube::string_in(mount, "mountPath").starts_with("/");
    if (!sound || !names.contains(kube::string_in(mount, "name"))) {
      fields.problem("volumeMounts",
                     "has " + printed(mount) +
                         ": a mount needs the name of a volume of podTemplate.volumes and an absolute mountPath");
    }
  }
}

}  // namespace

bool is_dns_label(std::string_view text, std::size_t max_size) {
  if (text.empty() || text.size() > max_size || text.front() == '-' || text.back() == '-') return false;
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::islower(c) || std::isdigit(c) || c == '-'; });
}

void check_pod_template(FieldReader& fields, const PodTemplate& pod) {
  refuse_own_keys(fields, "labels", pod.labels);
  refuse_own_keys(fields, "annotations", pod.annotations);
  check_tolerations(fields, pod.tolerations);
  check_env(fields, pod.env);
  check_volumes(fields, pod);
  static const std::set<std::string> kPolicies{"", "Always", "IfNotPresent", "Never"};
  if (!kPolicies.contains(pod.image_pull_policy)) {
    fields.problem("imagePullPolicy", "is \"" + pod.image_pull_policy + "\": use Always, IfNotPresent or Never");
  }
}

}  // namespace millrace::controller
