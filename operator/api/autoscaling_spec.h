// spec.autoscaling: who decides how many groups there are, and by what. Plain values, defaults filled in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/field_reader.h"

namespace millrace::controller {

// What every replica should hold. A replica is a group.
struct AutoscalingTargets {
  double queue_per_replica = 5;           // waiting sequences
  double cache_use = 0.85;                // 0..1, of KV blocks and of state slots, whichever is fuller
  std::optional<double> first_token_p95;  // seconds
  std::optional<double> inter_token_p95;  // seconds

  bool operator==(const AutoscalingTargets&) const = default;
};

// As behavior.scaleUp and behavior.scaleDown of a HorizontalPodAutoscaler; "Pods" are replicas there and here.
struct ScalingPolicy {
  enum class Type { kPods, kPercent };
  Type type = Type::kPods;
  std::int32_t value = 1;
  std::int32_t period_seconds = 15;

  bool operator==(const ScalingPolicy&) const = default;
};

struct ScalingRules {
  enum class Select { kMax, kMin, kDisabled };
  std::int32_t window_seconds = 0;
  Select select = Select::kMax;
  std::vector<ScalingPolicy> policies;

  bool operator==(const ScalingRules&) const = default;
};

struct AutoscalingSpec {
  enum class Mode {
    kBuiltIn,   // the operator decides; spec.replicas is the number to begin with
    kExternal,  // HPA, KEDA or a person sets spec.replicas
  };
  Mode mode = Mode::kBuiltIn;
  std::int32_t min_replicas = 1;
  std::int32_t max_replicas = 1;
  AutoscalingTargets targets;
  ScalingRules scale_up{
      0, ScalingRules::Select::kMax, {{ScalingPolicy::Type::kPods, 4, 15}, {ScalingPolicy::Type::kPercent, 100, 15}}};
  ScalingRules scale_down{
      120, ScalingRules::Select::kMax, {{ScalingPolicy::Type::kPods, 1, 30}, {ScalingPolicy::Type::kPercent, 25, 30}}};
  std::optional<double> cost_per_replica_hour;  // in whatever unit the user counts

  bool operator==(const AutoscalingSpec&) const = default;
};

// Reads the fields of spec.autoscaling; problems go where `fields` collects them. `refuse_unknown`: so do unknown keys.
AutoscalingSpec read_autoscaling(FieldReader& fields, bool refuse_unknown);

// What keeps the planner from working with these numbers; empty: nothing.
std::string fault_of(const AutoscalingSpec& spec);

}  // namespace millrace::controller
