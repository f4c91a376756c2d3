#include "operator/plan/autoscale_status.h"

#include <cmath>
#include <cstdlib>
#include <set>

#include "operator/kube/timestamp.h"
#include "operator/plan/decimal.h"

namespace millrace::controller {
namespace {

using kube::Json;

// An empty text when there is none.
std::string text_at(const Json& json, const char* path) {
  const Json::json_pointer pointer(path);
  return json.contains(pointer) && json[pointer].is_string() ? json[pointer].get<std::string>() : "";
}

bool asks_for_more(const std::string& reason) {
  static const std::set<std::string> kReasons{"Arrivals", "Queue", "CacheUse", "FirstToken", "InterToken"};
  return kReasons.contains(reason);
}

Json inputs_json(const AutoscaleInputs& inputs) {
  Json json = {{"servingGroups", inputs.serving},
               {"coldGroups", inputs.cold},
               {"silentGroups", inputs.silent},
               {"arrivalsPerSecond", decimal(inputs.arrivals_per_second, 2)},
               {"forecastPerSecond", decimal(inputs.forecast_per_second, 2)}};
  const auto put = [&](const char* key, const std::optional<double>& value) {
    if (value) json[key] = decimal(*value, 2);
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
    json["cost"] = {{"perHour", decimal(*decision.cost_per_hour, 2)},
                    {"changePerHour", decimal(decision.cost_change_per_hour.value_or(0), 2)}};
  }
  return json;
}

std::optional<EarlierDecision> earlier_decision(const Json& status) {
  const Json::json_pointer path("/autoscaling/desiredReplicas");
  if (!status.is_object() || !status.contains(path) || !status[path].is_number_integer()) return std::nullopt;
  EarlierDecision earlier;
  earlier.replicas = status[path].get<std::int32_t>();
  const std::string reason = text_at(status, "/autoscaling/reason");
  earlier.active = !reason.empty() && reason != "NoServingGroups" && reason != "NoMetrics" && reason != "InvalidSpec";
  if (asks_for_more(reason)) {
    earlier.scaled_up_at = kube::parse_timestamp(text_at(status, "/autoscaling/decidedAt"));
    earlier.scaled_up_rate = std::strtod(text_at(status, "/autoscaling/inputs/arrivalsPerSecond").c_str(), nullptr);
  }
  return earlier;
}

AutoscaleHistory history_after(const std::optional<EarlierDecision>& earlier) {
  AutoscaleHistory history;
  if (!earlier) return history;
  history.scaled_up_at = earlier->scaled_up_at;
  history.busiest_minute = earlier->scaled_up_rate;
  return history;
}

}  // namespace millrace::controller
