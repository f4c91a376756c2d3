#include <algorithm>
#include <cctype>
#include <set>

#include "common/agent_config.h"
#include "operator/api/field_reader.h"
#include "operator/api/model_deployment.h"
#include "operator/api/pod_template_checks.h"
#include "operator/api/quantity.h"

namespace millrace::controller {
namespace {

constexpr int kGroupPorts = 16;  // one for each rank a pod may have
constexpr std::string_view kFileScheme = "file://";
constexpr std::string_view kClaimScheme = "pvc://";

bool has_white_space(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c); });
}

// Letters, digits and `others`, the first and the last a letter or digit.
bool is_name_of(std::string_view text, std::string_view others) {
  const auto plain = [](unsigned char c) { return std::isalnum(c) != 0; };
  if (text.empty() || !plain(text.front()) || !plain(text.back())) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) { return plain(c) || others.find(c) != others.npos; });
}

bool is_object_name(std::string_view text) {
  return is_name_of(text, "-.") &&
         std::none_of(text.begin(), text.end(), [](unsigned char c) { return std::isupper(c); });
}

bool has_parent_step(const std::string& path) {
  return ("/" + path + "/").find("/../") != std::string::npos;
}

class SpecParser {
 public:
  SpecParser(const kube::Object& object, UnknownFields unknown) : object_(object), unknown_(unknown) {}

  ParsedSpec parse() {
    read_name();
    FieldReader spec(object_.at("/spec"), "spec", result_.problems);
    if (object_.at("/spec").is_object()) read_spec(spec);
    return std::move(result_);
  }

 private:
  using Reader = void (SpecParser::*)(FieldReader&);

  void within(FieldReader& parent, const std::string& key, Reader read) {
    parent.within(key, [&](FieldReader& inner) {
      (this->*read)(inner);
      finish(inner);
    });
  }
  void finish(FieldReader& fields) {
    if (unknown_ == UnknownFields::kRefuse) fields.refuse_unknown();
  }

  void read_name() {
    const std::string name = object_.name();
    if (!is_dns_label(name, 40) || !std::islower(static_cast<unsigned char>(name.front()))) {
      result_.problems.push_back("metadata.name is \"" + name +
                                 "\": use at most 40 lower-case letters, digits and hyphens, beginning with a letter "
                                 "and not ending with a hyphen");
    }
  }

  void read_spec(FieldReader& spec) {
    spec_.model.name = object_.name();
    spec.read("replicas", spec_.replicas, 0, 1000);
    if (!spec.has("model")) spec.problem("model", "is missing: name the checkpoint in spec.model.source");
    within(spec, "model", &SpecParser::read_model);
    spec.read("image", spec_.image, 512);
    if (has_white_space(spec_.image)) {
      spec.problem("image", "is \"" + spec_.image + "\": write name:tag or name@digest, without white space");
    }
    within(spec, "parallelism", &SpecParser::read_parallelism);
    within(spec, "devices", &SpecParser::read_devices);
    within(spec, "resources", &SpecParser::read_resources);
    within(spec, "podTemplate", &SpecParser::read_pod_template);
    within(spec, "engine", &SpecParser::read_engine);
    within(spec, "endpoint", &SpecParser::read_endpoint);
    within(spec, "tls", &SpecParser::read_tls);
    within(spec, "experts", &SpecParser::read_experts_of);
    within(spec, "drain", &SpecParser::read_drain);
    read_rollout(spec, spec_.rollout, [this](FieldReader& fields) { finish(fields); });
    spec.read_strings("zones", spec_.zones, 16);
    within(spec, "failover", &SpecParser::read_failover_of);
    spec.within("autoscaling", [this](FieldReader& fields) {
      spec_.autoscaling = read_autoscaling(fields, unknown_ == UnknownFields::kRefuse);
    });
    finish(spec);
    check_across(spec);
  }

  void read_model(FieldReader& model) {
    model.read("name", spec_.model.name, 128);
    if (!is_name_of(spec_.model.name, "._/:-")) {
      model.problem("name", "is \"" + spec_.model.name +
                                "\": use letters, digits and ._/:-, with a letter or digit at both ends");
    }
    model.read("revision", spec_.model.revision, 128);
    std::string source;
    model.read("source", source, 1024);
    if (source.empty()) {
      model.problem("source", "is missing: use file:///absolute/path or pvc://claim/sub/path");
    } else if (source.starts_with(kFileScheme)) {
      read_file_source(model, source);
    } else if (source.starts_with(kClaimScheme)) {
      read_claim_source(model, source);
    } else {
      model.problem("source", "is \"" + source + "\": use file:///absolute/path or pvc://claim/sub/path");
    }
    if (has_white_space(source)) model.problem("source", "is \"" + source + "\": a path must not contain white space");
    if (has_parent_step(source)) model.problem("source", "is \"" + source + "\": a path must not contain ..");
  }

  void read_file_source(FieldReader& model, const std::string& source) {
    const std::string path = source.substr(kFileScheme.size());
    if (path.size() < 2 || path.front() != '/') {
      model.problem("source", "is \"" + source + "\": file:// needs an absolute path, file:///path");
    }
    spec_.model.source = {ModelSource::Kind::kHostPath, "", path};
  }

  void read_claim_source(FieldReader& model, const std::string& source) {
    const std::string rest = source.substr(kClaimScheme.size());
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    const std::string claim = rest.substr(0, slash);
    if (!is_object_name(claim)) {
      model.problem("source", "is \"" + source +
                                  "\": pvc:// needs the name of a claim, pvc://claim/sub/path, in lower-case letters, "
                                  "digits, hyphens and dots");
    }
    const std::size_t start = rest.find_first_not_of('/', slash);
    spec_.model.source = {ModelSource::Kind::kClaim, claim, start == std::string::npos ? "" : rest.substr(start)};
  }

  void read_parallelism(FieldReader& fields) {
    fields.read("tensor", spec_.parallelism.tensor, 1, 64);
    fields.read("expert", spec_.parallelism.expert, 1, 64);
    const int tensor = spec_.parallelism.tensor;
    if ((tensor & (tensor - 1)) != 0) {
      fields.problem("tensor", "is " + std::to_string(tensor) + ": use 1, 2, 4, 8, 16, 32 or 64");
    }
    if (tensor % spec_.parallelism.expert != 0) {
      fields.problem("expert", "is " + std::to_string(spec_.parallelism.expert) + " but tensor is " +
                                   std::to_string(tensor) + ": use a divisor of tensor");
    }
  }

  void read_devices(FieldReader& fields) {
    fields.read("resource", spec_.devices.resource, 128);
    fields.read("perPod", spec_.devices.per_pod, 1, 16);
    const std::string& resource = spec_.devices.resource;
    if (!spec_.devices.is_cpu() && resource.find('/') == std::string::npos) {
      fields.problem("resource", "is \"" + resource + "\": use cpu or an extended resource such as nvidia.com/gpu");
    }
  }

  void read_resources(FieldReader& fields) {
    fields.read_quantities("requests", spec_.resources.requests);
    fields.read_quantities("limits", spec_.resources.limits);
    for (const auto& [name, request] : spec_.resources.requests) {
      const auto limit = spec_.resources.limits.find(name);
      if (limit != spec_.resources.limits.end() && *parse_quantity(request) > *parse_quantity(limit->second)) {
        fields.problem("requests." + name, "is " + request + " but the limit is " + limit->second +
                                               ": lower the request or raise the limit");
      }
    }
  }

  void read_pod_template(FieldReader& fields) {
    PodTemplate& pod = spec_.pod_template;
    fields.read("labels", pod.labels);
    fields.read("annotations", pod.annotations);
    fields.read("nodeSelector", pod.node_selector);
    fields.read_array("tolerations", pod.tolerations, 16);
    fields.read_object("affinity", pod.affinity);
    fields.read_array("imagePullSecrets", pod.image_pull_secrets, 8);
    fields.read_array("env", pod.env, 64);
    fields.read_array("volumes", pod.volumes, 32);
    fields.read_array("volumeMounts", pod.volume_mounts, 32);
    fields.read("priorityClassName", pod.priority_class_name, 253);
    fields.read("serviceAccountName", pod.service_account_name, 253);
    fields.read("runtimeClassName", pod.runtime_class_name, 253);
    fields.read("imagePullPolicy", pod.image_pull_policy, 32);
    fields.read("terminationGracePeriodSeconds", pod.termination_grace_seconds, 1, 86400);
    check_pod_template(fields, pod);
  }

  void read_engine(FieldReader& fields) {
    EngineSpec& engine = spec_.engine;
    fields.read("maxModelLen", engine.max_model_len, 16, 1048576);
    fields.read("maxNumSeqs", engine.max_num_seqs, 1, 4096);
    fields.read("maxNumBatchedTokens", engine.max_num_batched_tokens, 1, 1048576);
    fields.read("threads", engine.threads, 1, 512);
    fields.read("maxQueuedRequests", engine.max_queued_requests, 0, 100000);
    if (const Json* memory = fields.find("memory")) {
      const std::optional<double> bytes = quantity_of(*memory);
      if (bytes && *bytes >= 1 && *bytes < 9e18) {
        engine.memory_bytes = static_cast<std::int64_t>(*bytes);
      } else {
        fields.problem("memory", "is " + memory->dump(-1, ' ', false, Json::error_handler_t::replace) +
                                     ": use a quantity above 0 such as 512Mi or 40Gi");
      }
    }
    if (engine.max_num_seqs.value_or(1) > engine.max_num_batched_tokens.value_or(1 << 20)) {
      fields.problem("maxNumBatchedTokens", "is less than maxNumSeqs: each running sequence takes a token of a step");
    }
  }

  void read_endpoint(FieldReader& fields) {
    fields.read("port", spec_.endpoint.port, 1, 65535);
    const int port = spec_.endpoint.port;
    const bool taken = port == common::kDefaultAdminPort ||
                       (port >= common::kDefaultGroupPort && port < common::kDefaultGroupPort + kGroupPorts);
    if (taken)
      fields.problem("port", "is " + std::to_string(port) + ", which the agents use among themselves: 8000 is free");
    fields.read("serviceType", spec_.endpoint.service_type, 32);
    static const std::set<std::string> kTypes{"ClusterIP", "NodePort", "LoadBalancer"};
    if (!kTypes.contains(spec_.endpoint.service_type)) {
      fields.problem("serviceType",
                     "is \"" + spec_.endpoint.service_type + "\": use ClusterIP, NodePort or LoadBalancer");
    }
    within(fields, "auth", &SpecParser::read_auth);
  }

  void read_auth(FieldReader& fields) {
    if (!fields.has("apiKeySecretRef")) fields.problem("apiKeySecretRef", "is missing: name a Secret and its key");
    within(fields, "apiKeySecretRef", &SpecParser::read_secret_ref);
  }

  void read_secret_ref(FieldReader& fields) {
    SecretKeyRef& ref = spec_.endpoint.api_key.emplace();
    fields.read("name", ref.name, 253);
    fields.read("key", ref.key, 253);
    if (ref.name.empty()) fields.problem("name", "is missing: give the name of the Secret");
    if (ref.key.empty()) fields.problem("key", "is missing: give the key in the Secret's data");
  }

  void read_tls(FieldReader& fields) {
    std::string& name = spec_.tls.emplace().secret_name;
    fields.read("secretName", name, 253);
    if (!is_object_name(name)) {
      fields.problem("secretName",
                     "is \"" + name +
                         "\": give the name of a Secret of type kubernetes.io/tls, in lower-case letters, "
                         "digits, hyphens and dots");
    }
  }

  void read_experts_of(FieldReader& fields) { read_experts(fields, spec_.parallelism.expert, spec_.experts.emplace()); }

  void read_failover_of(FieldReader& fields) { read_failover(fields, spec_.failover); }

  void read_drain(FieldReader& fields) { fields.read("timeoutSeconds", spec_.drain_timeout_seconds, 0, 86400); }

  void check_across(FieldReader& spec) {
    if (spec_.parallelism.tensor % spec_.devices.per_pod != 0) {
      spec.problem("parallelism.tensor", "is " + std::to_string(spec_.parallelism.tensor) + " but devices.perPod is " +
                                             std::to_string(spec_.devices.per_pod) +
                                             ": ranks must fill pods evenly, so make tensor a multiple of perPod");
    }
    const std::string& resource = spec_.devices.resource;
    const bool named_twice = spec_.resources.requests.contains(resource) || spec_.resources.limits.contains(resource);
    if (!spec_.devices.is_cpu() && named_twice) {
      spec.problem("resources", "names " + resource + ": its amount is spec.devices.perPod, remove it from resources");
    }
    for (const std::string& zone : spec_.zones) {
      if (!is_name_of(zone, "-_.")) {
        spec.problem("zones",
                     "has \"" + zone + "\": a zone is the value of the node label topology.kubernetes.io/zone");
      }
    }
    const std::set<std::string> zones(spec_.zones.begin(), spec_.zones.end());
    if (zones.size() != spec_.zones.size()) spec.problem("zones", "has a repeated entry: name each zone once");
    if (spec_.failover.reserve == Reserve::kSpareZone && zones.size() == 1) {
      spec.problem("failover.reserve", "is SpareZone but zones names one zone only: name at least two, the spare last");
    }
  }

  const kube::Object& object_;
  const UnknownFields unknown_;
  ParsedSpec result_;
  Spec& spec_ = result_.spec;
};

}  // namespace

ParsedSpec parse_spec(const kube::Object& object, UnknownFields unknown) {
  return SpecParser(object, unknown).parse();
}

}  // namespace millrace::controller
