#include "operator/plan/revision.h"

#include <cstdint>

#include "common/hash.h"

namespace millrace::controller {
namespace {

template <typename T>
void put(Json& json, const char* key, const T& value, const T& normal) {
  if (value != normal) json[key] = value;
}

void put(Json& json, const char* key, const std::optional<std::int64_t>& value) {
  if (value) json[key] = *value;
}

void put(Json& json, const char* key, const Json& value) {
  if (!value.empty()) json[key] = value;
}

Json shape_of(const PodTemplate& pod) {
  Json json = Json::object();
  put(json, "labels", pod.labels, {});
  put(json, "annotations", pod.annotations, {});
  put(json, "nodeSelector", pod.node_selector, {});
  put(json, "tolerations", pod.tolerations);
  put(json, "affinity", pod.affinity);
  put(json, "imagePullSecrets", pod.image_pull_secrets);
  put(json, "env", pod.env);
  put(json, "volumes", pod.volumes);
  put(json, "volumeMounts", pod.volume_mounts);
  put(json, "priorityClassName", pod.priority_class_name, {});
  put(json, "serviceAccountName", pod.service_account_name, {});
  put(json, "runtimeClassName", pod.runtime_class_name, {});
  put(json, "imagePullPolicy", pod.image_pull_policy, {});
  put(json, "terminationGracePeriodSeconds", pod.termination_grace_seconds);
  return json;
}

Json shape_of(const EngineSpec& engine) {
  Json json = Json::object();
  put(json, "maxModelLen", engine.max_model_len);
  put(json, "maxNumSeqs", engine.max_num_seqs);
  put(json, "maxNumBatchedTokens", engine.max_num_batched_tokens);
  put(json, "memory", engine.memory_bytes);
  put(json, "threads", engine.threads);
  put(json, "maxQueuedRequests", engine.max_queued_requests);
  return json;
}

}  // namespace

Json pod_shape(const Spec& spec) {
  const Spec normal;
  const ModelSource& source = spec.model.source;
  Json json = {{"model", spec.model.name},
               {"source", {source.kind == ModelSource::Kind::kClaim ? "pvc" : "file", source.claim, source.path}},
               {"image", spec.image}};
  put(json, "modelRevision", spec.model.revision, {});
  put(json, "tensor", spec.parallelism.tensor, normal.parallelism.tensor);
  put(json, "expert", spec.parallelism.expert, normal.parallelism.expert);
  put(json, "resource", spec.devices.resource, normal.devices.resource);
  put(json, "perPod", spec.devices.per_pod, normal.devices.per_pod);
  put(json, "requests", spec.resources.requests, {});
  put(json, "limits", spec.resources.limits, {});
  put(json, "pod", shape_of(spec.pod_template));
  put(json, "engine", shape_of(spec.engine));
  put(json, "port", spec.endpoint.port, normal.endpoint.port);
  if (spec.endpoint.api_key) json["apiKey"] = {spec.endpoint.api_key->name, spec.endpoint.api_key->key};
  if (spec.tls) json["tls"] = spec.tls->secret_name;
  if (spec.experts) put(json, "expertSlots", spec.experts->redundant_slots_per_rank, 0);
  put(json, "drain", spec.drain_timeout_seconds, normal.drain_timeout_seconds);
  return json;
}

std::string short_hash(const std::string& text) {
  // Letters that could spell words are left out.
  static constexpr char kAlphabet[] = "bcdfghjklmnpqrstvwxz2456789";
  constexpr std::uint64_t kLetters = sizeof(kAlphabet) - 1;
  std::uint64_t hash = common::fnv1a(text);
  std::string result;
  for (int i = 0; i < 8; ++i, hash /= kLetters) result += kAlphabet[hash % kLetters];
  return result;
}

std::string short_hash(const Json& json) {
  return short_hash(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::string revision_of(const Spec& spec) {
  return short_hash(pod_shape(spec));
}

}  // namespace millrace::controller
