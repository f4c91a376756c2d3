#include "operator/fleet_metrics.h"

#include <cstdlib>
#include <map>
#include <utility>

#include "operator/api/quantity.h"
#include "operator/kube/timestamp.h"
#include "operator/plan/cost.h"

namespace millrace::controller {
namespace {

using kube::Json;
using kube::Object;
using prometheus::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

// Families in the order of their first sample.
class Families {
 public:
  void gauge(const char* name, const char* help, double value, const Labels& labels) {
    add(name, help, MetricType::Gauge, value, labels);
  }
  void counter(const char* name, const char* help, double value, const Labels& labels) {
    add(name, help, MetricType::Counter, value, labels);
  }
  std::vector<prometheus::MetricFamily> take() { return std::move(families_); }

 private:
  void add(const char* name, const char* help, MetricType type, double value, const Labels& labels) {
    const auto [found, is_new] = places_.try_emplace(name, families_.size());
    if (is_new) families_.push_back({name, help, type, {}});
    prometheus::ClientMetric metric;
    for (const auto& [label, text] : labels) metric.label.push_back({label, text});
    (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    families_[found->second].metric.push_back(std::move(metric));
  }

  std::vector<prometheus::MetricFamily> families_;
  std::map<std::string, std::size_t> places_;
};

Labels with(Labels labels, const char* name, std::string value) {
  labels.emplace_back(name, std::move(value));
  return labels;
}

double truth(const std::string& status) {
  if (status == "True") return 1;
  return status == "False" ? 0 : -1;
}

class DeploymentMetrics {
 public:
  DeploymentMetrics(const Object& object, const FleetView& fleet, Families& out)
      : object_(object), fleet_(fleet), out_(out), labels_{{"namespace", object.ns()}, {"deployment", object.name()}} {}

  void add() {
    add_replicas();
    add_groups();
    add_conditions();
    add_rollout();
    add_autoscaling();
    add_experts();
    add_cost();
  }

 private:
  void number(const char* name, const char* help, const char* pointer) {
    if (const auto value = object_.int_at(pointer)) out_.gauge(name, help, static_cast<double>(*value), labels_);
  }
  void total(const char* name, const char* help, const char* pointer) {
    if (const auto value = object_.int_at(pointer)) out_.counter(name, help, static_cast<double>(*value), labels_);
  }
  void decimal(const char* name, const char* help, const char* pointer) {
    if (const auto value = quantity_of(object_.at(pointer))) out_.gauge(name, help, *value, labels_);
  }

  void add_replicas() {
    const auto decided = object_.int_at("/status/autoscaling/desiredReplicas");
    const std::int64_t desired = decided ? *decided : object_.int_at("/spec/replicas").value_or(1);
    out_.gauge("millrace_deployment_replicas_desired", "Groups that the operator works towards.",
               static_cast<double>(desired), labels_);
    number("millrace_deployment_replicas", "Groups that exist, of any revision and state.", "/status/replicas");
    number("millrace_deployment_replicas_ready", "Groups whose pods are all ready.", "/status/readyReplicas");
    number("millrace_deployment_replicas_routable", "Groups that receive traffic.", "/status/routableReplicas");
    number("millrace_deployment_replicas_updated", "Groups of the revision that the spec asks for.",
           "/status/updatedReplicas");
    const std::int64_t behind = object_.generation() - object_.int_at("/status/observedGeneration").value_or(0);
    out_.gauge("millrace_deployment_generation_lag", "Changes of the spec that status does not speak of yet.",
               static_cast<double>(behind), labels_);
  }

  void add_groups() {
    std::map<std::pair<std::string, std::string>, int> counts;
    for (const Json& group : object_.at("/status/groups")) {
      ++counts[{group.value("state", ""), group.value("zone", "")}];
    }
    for (const auto& [key, count] : counts) {
      out_.gauge("millrace_deployment_groups", "Groups by state and zone, of the 64 that status lists.", count,
                 with(with(labels_, "state", key.first), "zone", key.second));
    }
  }

  void add_conditions() {
    for (const Json& condition : object_.at("/status/conditions")) {
      out_.gauge("millrace_deployment_condition", "A condition of status: 1 True, 0 False, -1 Unknown.",
                 truth(condition.value("status", "")), with(labels_, "type", condition.value("type", "")));
    }
  }

  void add_rollout() {
    number("millrace_deployment_rollout_revision", "Number of the revision that is asked for.",
           "/status/rollout/revisionNumber");
    if (!object_.at("/status/rollout").is_object()) return;
    out_.gauge("millrace_deployment_rollout_paused", "1 while the rollout is paused.",
               object_.bool_at("/status/rollout/paused") ? 1 : 0, labels_);
    const std::int64_t canaries = object_.int_at("/status/rollout/canary/groups").value_or(0);
    out_.gauge("millrace_deployment_canary_groups", "Groups that take part in a canary.", static_cast<double>(canaries),
               labels_);
  }

  // Of the built-in autoscaler only: status is silent about another one.
  void add_autoscaling() {
    if (!object_.at("/status/autoscaling").is_object()) return;
    number("millrace_deployment_autoscale_replicas_desired", "Groups that the built-in autoscaler decided on.",
           "/status/autoscaling/desiredReplicas");
    number("millrace_deployment_autoscale_replicas_candidate",
           "Groups that the load alone asked for, before windows, policies, minimum and maximum.",
           "/status/autoscaling/candidateReplicas");
    out_.gauge("millrace_deployment_autoscale_replicas_minimum", "spec.autoscaling.minReplicas.",
               static_cast<double>(object_.int_at("/spec/autoscaling/minReplicas").value_or(1)), labels_);
    number("millrace_deployment_autoscale_replicas_maximum", "spec.autoscaling.maxReplicas.",
           "/spec/autoscaling/maxReplicas");
    number("millrace_deployment_autoscale_silent_groups",
           "Groups with traffic that did not tell their load when the number was last decided.",
           "/status/autoscaling/inputs/silentGroups");
  }

  void add_experts() {
    number("millrace_deployment_expert_placement_number", "Highest number of an expert placement in force.",
           "/status/experts/placementNumber");
    decimal("millrace_deployment_expert_imbalance_before",
            "Busiest rank over mean rank that the tokens after the last move would have had without it.",
            "/status/experts/imbalanceBefore");
    decimal("millrace_deployment_expert_imbalance_after", "The same with the move, as measured.",
            "/status/experts/imbalanceAfter");
    total("millrace_deployment_expert_bytes_moved_total", "Bytes of experts that ranks read for moves.",
          "/status/experts/bytesMoved");
    total("millrace_deployment_expert_placements_reverted_total", "Moves of experts that were taken back.",
          "/status/experts/placementsReverted");
    const auto moved = kube::parse_timestamp(object_.string_at("/status/experts/lastSuccessTime"));
    if (!moved) return;
    const auto since = std::chrono::duration<double>(moved->time_since_epoch());
    out_.gauge("millrace_deployment_expert_last_move_timestamp_seconds", "When experts last moved with success.",
               since.count(), labels_);
  }

  void add_cost() {
    const std::optional<CostRecord> recorded = read_cost(object_.at("/status/cost"));
    if (!recorded) return;
    const CostRecord now = carried_on(*recorded, fleet_.now);
    out_.counter("millrace_deployment_replica_hours_total", "Hours that groups have held nodes, summed over them.",
                 now.replica_hours, labels_);
    const auto usage = fleet_.usage.find(object_.key());
    const double tokens = usage == fleet_.usage.end() ? 0 : usage->second.tokens;
    out_.counter("millrace_deployment_generated_tokens_total", "Tokens generated while this operator led.", tokens,
                 labels_);
    if (!now.price || !now.total) return;
    out_.gauge("millrace_deployment_price_per_replica_hour", "What a group costs in an hour, as the spec says.",
               *now.price, labels_);
    out_.gauge("millrace_deployment_cost_per_hour", "What the groups that hold nodes cost in an hour.",
               *now.price * now.groups, labels_);
    out_.counter("millrace_deployment_cost_total", "What the deployment has cost.", *now.total, labels_);
    if (tokens <= 0) return;
    out_.gauge("millrace_deployment_cost_per_million_tokens",
               "Cost of a million generated tokens, since this operator leads.",
               (*now.total - usage->second.cost_before) / tokens * 1e6, labels_);
  }

  const Object& object_;
  const FleetView& fleet_;
  Families& out_;
  const Labels labels_;
};

void add_zones(const ZoneHealths& zones, Families& out) {
  for (const auto& [zone, health] : zones) {
    for (const ZoneState state :
         {ZoneState::kHealthy, ZoneState::kSuspect, ZoneState::kFailed, ZoneState::kRecovering}) {
      out.gauge("millrace_zone_state", "1 for the state that the zone is in.", health.state == state ? 1 : 0,
                {{"zone", zone}, {"state", std::string(to_string(state))}});
    }
  }
}

void add_watches(const std::vector<WatchView>& watches, Families& out) {
  for (const WatchView& watch : watches) {
    const Labels labels{{"kind", watch.kind}, {"watched_namespace", watch.ns}};
    out.gauge("millrace_watch_synced", "1 when the first list of the kind is in the cache.", watch.synced ? 1 : 0,
              labels);
    out.gauge("millrace_watch_silence_seconds", "Since the API server last sent something: a list, event or bookmark.",
              watch.silence.count(), labels);
    out.counter("millrace_watch_lists_total", "Whole lists that were read.", static_cast<double>(watch.lists), labels);
    out.counter("millrace_watch_failures_total", "Lists and watches that failed.", static_cast<double>(watch.failures),
                labels);
  }
}

}  // namespace

std::vector<prometheus::MetricFamily> fleet_metrics(const FleetView& fleet) {
  Families out;
  fleet.each_deployment([&](const Object& object) { DeploymentMetrics(object, fleet, out).add(); });
  add_zones(fleet.zones, out);
  add_watches(fleet.watches, out);
  return out.take();
}

}  // namespace millrace::controller
