#include "operator/plan/autoscale_status.h"

#include <cmath>
#include <cstdio>

#include "operator/kube/timestamp.h"

namespace millrace::controller {
namespace {

using kube::Json;

// Numbers that are not whole are strings, as quantities are.
std::string decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

Json inputs_json(const AutoscaleInputs& inputs) {
  Json json = {{"servingGroups", inputs.serving},
               {"coldGroups", inputs.cold},
               {"silentGroups", inputs.silent},
               {"arrivalsPerSecond", decimal(inputs.arrivals_per_second)},
               {"forecastPerSecond", decimal(inputs.forecast_per_second)}};
  const auto put = [&](const char* key, const std::optional<double>& value) {
    if (value) json[key] = decimal(*value);
  };
  const auto put_rounded = [&](const char* key, const std::optional<double>& value, double unit) {
    if (value) json[key] = std::llround(*value * unit);
  };
  put("capacityPerReplica", inputs.capacity_per_replica);
  put("queuePerReplica", inputs.queue_per_replica);
  put_rounded("cacheUsePercent", inputs.cache_use, 100);
  put_rounded("firstTokenP95Milliseconds", inputs.first_token_p95, 1e3);
  put_rounded("interTokenP95Milliseconds", inputs.inter_token_p95, 1e3);
  return json;
}

}  // namespace

AutoscaleCondition autoscale_condition(const AutoscaleStatusInput& input) {
  if (input.spec.mode == AutoscalingSpec::Mode::kExternal) {
    return {
        false, "External",
        "spec.autoscaling.mode is external: an HPA, KEDA or a person sets spec.replicas, and the built-in autoscaler "
        "is off"};
  }
  if (input.spec_replicas == 0) {
    return {false, "ScaledToZero", "spec.replicas is 0: no group is wanted, and the built-in autoscaler is off"};
  }
  if (input.record && !input.record->decision.active) {
    return {false, input.record->decision.reason, input.record->decision.message};
  }
  return {true, "BuiltIn",
          "the built-in autoscaler sets the number of groups; spec.replicas was only the number to begin with"};
}

Json autoscale_status(const AutoscaleStatusInput& input, const Json& previous) {
  if (input.spec.mode == AutoscalingSpec::Mode::kExternal || input.spec_replicas == 0) return nullptr;
  if (!input.record) {
    Json kept = previous.is_object() ? previous : Json::object();
    kept["desiredReplicas"] = input.replicas;
    return kept;
  }
  const AutoscaleDecision& decision = input.record->decision;
  Json json = {{"desiredReplicas", decision.desired},
               {"candidateReplicas", decision.candidate},
               {"reason", decision.reason},
               {"message", decision.message},
               {"decidedAt", kube::format_time(input.record->at)},
               {"inputs", inputs_json(decision.inputs)}};
  if (!decision.held_by.empty()) json["heldBy"] = decision.held_by;
  if (decision.cost_per_hour) {
    json["cost"] = {{"perHour", decimal(*decision.cost_per_hour)},
                    {"changePerHour", decimal(decision.cost_change_per_hour.value_or(0))}};
  }
  return json;
}

std::optional<std::int32_t> recorded_replicas(const Json& status) {
  const Json::json_pointer path("/autoscaling/desiredReplicas");
  if (!status.is_object() || !status.contains(path) || !status[path].is_number_integer()) return std::nullopt;
  return status[path].get<std::int32_t>();
}

}  // namespace millrace::controller
