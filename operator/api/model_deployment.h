// The ModelDeployment resource as the operator works with it: every default filled in, every value in range. What the
// fields mean to users is written in crds/millrace.dev_modeldeployments.yaml.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/autoscaling_spec.h"
#include "operator/api/experts_spec.h"
#include "operator/api/failover_spec.h"
#include "operator/api/rollout_spec.h"
#include "operator/kube/object.h"

namespace millrace::controller {

using kube::Json;
using StringMap = std::map<std::string, std::string>;

struct ModelSource {
  enum class Kind { kHostPath, kClaim };
  Kind kind = Kind::kHostPath;
  std::string claim;  // kClaim: name of the PersistentVolumeClaim
  std::string path;   // kHostPath: absolute; kClaim: relative to the volume, may be empty
};

struct ModelSpec {
  std::string name;  // under which clients ask for it
  ModelSource source;
  std::string revision;
};

struct Parallelism {
  std::int32_t tensor = 1;  // ranks of a group
  std::int32_t expert = 1;
};

struct Devices {
  std::string resource = "cpu";  // "cpu", or the extended resource a rank takes one of
  std::int32_t per_pod = 1;      // ranks of a pod

  bool is_cpu() const { return resource == "cpu"; }
};

struct ContainerResources {
  StringMap requests;  // resource -> quantity
  StringMap limits;
};

// What the pods carry besides what the operator sets. JSON values are passed on as they stand.
struct PodTemplate {
  StringMap labels;
  StringMap annotations;
  StringMap node_selector;
  Json tolerations;         // array or null
  Json affinity;            // object or null
  Json image_pull_secrets;  // array or null
  Json env;                 // array or null
  Json volumes;             // array or null
  Json volume_mounts;       // array or null
  std::string priority_class_name;
  std::string service_account_name;
  std::string runtime_class_name;
  std::string image_pull_policy;
  std::optional<std::int64_t> termination_grace_seconds;
};

struct EngineSpec {
  std::optional<std::int64_t> max_model_len;
  std::optional<std::int64_t> max_num_seqs;
  std::optional<std::int64_t> max_num_batched_tokens;
  std::optional<std::int64_t> memory_bytes;  // per rank, for caches
  std::optional<std::int64_t> threads;       // per rank
  std::optional<std::int64_t> max_queued_requests;
};

struct SecretKeyRef {
  std::string name;
  std::string key;
};

struct TlsSpec {
  std::string secret_name;  // of type kubernetes.io/tls
};

struct EndpointSpec {
  std::int32_t port = 8000;
  std::string service_type = "ClusterIP";
  std::optional<SecretKeyRef> api_key;
};

struct Spec {
  std::int32_t replicas = 1;  // groups
  ModelSpec model;
  std::string image;  // empty: the operator's default
  Parallelism parallelism;
  Devices devices;
  ContainerResources resources;
  PodTemplate pod_template;
  EngineSpec engine;
  EndpointSpec endpoint;
  std::optional<TlsSpec> tls;          // of both ports of the agents; absent: plain HTTP
  std::optional<ExpertsSpec> experts;  // absent: experts stay where they were loaded
  std::int32_t drain_timeout_seconds = 300;
  RolloutSpec rollout;
  std::vector<std::string> zones;
  FailoverSpec failover;
  std::optional<AutoscalingSpec> autoscaling;

  std::int32_t pods_per_group() const { return parallelism.tensor / devices.per_pod; }
  std::int64_t termination_grace_seconds() const {
    return pod_template.termination_grace_seconds.value_or(drain_timeout_seconds + 30);
  }
};

// What reading found wrong, in the order of the fields. Each line names the field, the value and what is accepted.
struct ParsedSpec {
  Spec spec;  // complete only when there are no problems
  std::vector<std::string> problems;

  bool ok() const { return problems.empty(); }
};

// Unknown fields are refused in manifests that a person wrote (a typing error would be ignored silently), and ignored
// in objects from a cluster, whose schema may be newer than this program.
enum class UnknownFields { kIgnore, kRefuse };

ParsedSpec parse_spec(const kube::Object& object, UnknownFields unknown);

}  // namespace millrace::controller
