#include "operator/api/autoscaling_spec.h"

#include <cmath>

#include "operator/api/quantity.h"

namespace millrace::controller {
namespace {

using kube::Json;

constexpr std::int32_t kMaxReplicas = 1000;
constexpr std::size_t kMaxPolicies = 8;

class Parser {
 public:
  explicit Parser(bool refuse_unknown) : refuse_unknown_(refuse_unknown) {}

  AutoscalingSpec parse(FieldReader& fields) {
    std::string mode = "builtIn";
    fields.read("mode", mode, 32);
    if (mode == "external") spec_.mode = AutoscalingSpec::Mode::kExternal;
    if (mode != "external" && mode != "builtIn") fields.problem("mode", "is \"" + mode + "\": use builtIn or external");
    fields.read("minReplicas", spec_.min_replicas, 1, kMaxReplicas);
    fields.read("maxReplicas", spec_.max_replicas, 1, kMaxReplicas);
    if (spec_.mode == AutoscalingSpec::Mode::kBuiltIn && !fields.has("maxReplicas")) {
      fields.problem("maxReplicas", "is missing: say how many groups there may be");
    } else if (fields.has("maxReplicas") && spec_.max_replicas < spec_.min_replicas) {
      fields.problem("maxReplicas", "is " + std::to_string(spec_.max_replicas) + " but minReplicas is " +
                                        std::to_string(spec_.min_replicas) + ": raise the one or lower the other");
    }
    within(fields, "targets", [this](FieldReader& targets) { read_targets(targets); });
    within(fields, "behavior", [this](FieldReader& behavior) {
      within(behavior, "scaleUp", [this](FieldReader& rules) { read_rules(rules, spec_.scale_up); });
      within(behavior, "scaleDown", [this](FieldReader& rules) { read_rules(rules, spec_.scale_down); });
    });
    read_cost(fields);
    if (refuse_unknown_) fields.refuse_unknown();
    return std::move(spec_);
  }

 private:
  template <typename Read>
  void within(FieldReader& parent, const std::string& key, Read read) {
    parent.within(key, [&](FieldReader& inner) {
      read(inner);
      if (refuse_unknown_) inner.refuse_unknown();
    });
  }

  void read_targets(FieldReader& fields) {
    std::int32_t queue = static_cast<std::int32_t>(spec_.targets.queue_per_replica);
    std::int32_t use = static_cast<std::int32_t>(std::lround(spec_.targets.cache_use * 100));
    fields.read("queuePerReplica", queue, 1, 100000);
    fields.read("cacheUsePercent", use, 1, 100);
    spec_.targets.queue_per_replica = queue;
    spec_.targets.cache_use = use / 100.0;
    read_milliseconds(fields, "firstTokenP95Milliseconds", spec_.targets.first_token_p95);
    read_milliseconds(fields, "interTokenP95Milliseconds", spec_.targets.inter_token_p95);
  }

  void read_milliseconds(FieldReader& fields, const char* key, std::optional<double>& value) {
    std::optional<std::int64_t> milliseconds;
    fields.read(key, milliseconds, 1, 600000);
    if (milliseconds) value = static_cast<double>(*milliseconds) / 1000;
  }

  void read_rules(FieldReader& fields, ScalingRules& rules) {
    fields.read("stabilizationWindowSeconds", rules.window_seconds, 0, 3600);
    std::string select = "Max";
    fields.read("selectPolicy", select, 16);
    if (select == "Max" || select == "Min") {
      rules.select = select == "Max" ? ScalingRules::Select::kMax : ScalingRules::Select::kMin;
    } else if (select == "Disabled") {
      rules.select = ScalingRules::Select::kDisabled;
    } else {
      fields.problem("selectPolicy", "is \"" + select + "\": use Max, Min or Disabled");
    }
    if (!fields.has("policies")) return;
    rules.policies.clear();
    fields.each("policies", kMaxPolicies, "an object with type, value and periodSeconds",
                [&](FieldReader& item) { read_policy(item, rules.policies.emplace_back()); });
  }

  void read_policy(FieldReader& item, ScalingPolicy& policy) {
    std::string type;
    item.read("type", type, 16);
    if (type != "Pods" && type != "Percent") item.problem("type", "is \"" + type + "\": use Pods or Percent");
    policy.type = type == "Percent" ? ScalingPolicy::Type::kPercent : ScalingPolicy::Type::kPods;
    for (const char* key : {"value", "periodSeconds"}) {
      if (!item.has(key)) item.problem(key, "is missing");
    }
    item.read("value", policy.value, 1, 1000);
    item.read("periodSeconds", policy.period_seconds, 1, 1800);
    if (refuse_unknown_) item.refuse_unknown();
  }

  void read_cost(FieldReader& fields) {
    const Json* cost = fields.find("costPerReplicaHour");
    if (cost == nullptr) return;
    spec_.cost_per_replica_hour = quantity_of(*cost);
    if (spec_.cost_per_replica_hour && *spec_.cost_per_replica_hour >= 0) return;
    spec_.cost_per_replica_hour.reset();
    fields.problem("costPerReplicaHour", "is " + cost->dump(-1, ' ', false, Json::error_handler_t::replace) +
                                             ": use a quantity such as 2.50 or 98");
  }

  const bool refuse_unknown_;
  AutoscalingSpec spec_;
};

}  // namespace

AutoscalingSpec read_autoscaling(FieldReader& fields, bool refuse_unknown) {
  return Parser(refuse_unknown).parse(fields);
}

std::string fault_of(const AutoscalingSpec& spec) {
  if (spec.min_replicas < 1) return "minReplicas is " + std::to_string(spec.min_replicas) + ": use at least 1";
  if (spec.max_replicas < spec.min_replicas) {
    return "maxReplicas is " + std::to_string(spec.max_replicas) + " but minReplicas is " +
           std::to_string(spec.min_replicas) + ": raise the one or lower the other";
  }
  const AutoscalingTargets& targets = spec.targets;
  if (!(targets.queue_per_replica > 0)) return "the target queuePerReplica is not above 0";
  if (!(targets.cache_use > 0 && targets.cache_use <= 1)) return "the target cacheUsePercent is not within 1 to 100";
  if (targets.first_token_p95 && !(*targets.first_token_p95 > 0)) return "the target firstTokenP95 is not above 0";
  if (targets.inter_token_p95 && !(*targets.inter_token_p95 > 0)) return "the target interTokenP95 is not above 0";
  return "";
}

}  // namespace millrace::controller
