// The built-in autoscaler's decision: how many groups a deployment should have, from what its agents said in the last
// minutes. Pure: the caller brings the history and keeps the new one. Meant to be called about once a second.
//
// The number is the demand over what one replica can take. Demand is the rate of arriving requests, with what chance
// explains taken off and a proven rise carried forward over the time that a group takes to start. What a replica can
// take is learned (autoscale_capacity.h); before that, the targets' own ratios decide. A missed target counts by
// itself. Fewer replicas only when the survivors would hold every target with the load of those that leave.
// docs/autoscaling.md has the table of what absent, stale, invalid and cold inputs lead to.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/agent_load.h"
#include "operator/api/autoscaling_spec.h"
#include "operator/plan/autoscale_capacity.h"
#include "operator/plan/autoscale_demand.h"
#include "operator/plan/autoscale_limits.h"

namespace millrace::controller {

// A load that is older says nothing about now.
inline constexpr std::chrono::milliseconds kLoadLimit{5'000};
// Latencies and cache use of a group count only after it has served for this long.
inline constexpr std::chrono::seconds kWarmUp{30};
// Within this time after a scale-up, a scale-down needs proof that fewer requests arrive; there is none when the
// scale-up came so soon after a scale-down that this was a mistake.
inline constexpr std::chrono::minutes kCalm{10};

enum class GroupLife {
  kCold,     // on its way: counts as a replica that is to come, not by its signals
  kServing,  // gets traffic
  kLeaving,  // gets no more
};

struct GroupSignal {
  std::string group;
  GroupLife life = GroupLife::kCold;
  std::chrono::milliseconds serving_for{0};
  std::optional<common::AgentLoad> load;  // what its leader said last
  std::chrono::milliseconds age{0};       // how long ago
};

struct AutoscaleSignals {
  std::int32_t replicas = 1;  // in force: what was decided last
  std::vector<GroupSignal> groups;
};

// What the decision was made from. Absent: not known, so not counted.
struct AutoscaleInputs {
  std::int32_t serving = 0;  // groups
  std::int32_t cold = 0;
  std::int32_t silent = 0;   // serve, but their load is absent or stale
  std::int32_t invalid = 0;  // told a number that is none
  double arrivals_per_second = 0;
  double forecast_per_second = 0;
  std::optional<double> capacity_per_replica;  // requests per second
  std::optional<double> queue_per_replica;
  std::optional<double> cache_use;        // 0..1
  std::optional<double> first_token_p95;  // seconds
  std::optional<double> inter_token_p95;
};

struct AutoscaleDecision {
  std::int32_t desired = 1;
  std::int32_t candidate = 1;  // before windows, step caps, minimum and maximum
  bool active = true;          // false: nothing can be decided, the number is held
  // Why: "Arrivals", "Queue", "CacheUse", "FirstToken", "InterToken" (more), "LowLoad" (fewer), "Minimum", "Maximum",
  // "Steady"; or, when not active, "NoServingGroups", "NoMetrics", "InvalidSpec".
  std::string reason = "Steady";
  std::string message;
  std::string held_by;  // what kept it from the candidate: "Maximum", "Minimum", "Policy", "Window", "RecentScaleUp"
  AutoscaleInputs inputs;
  std::optional<double> cost_per_hour;         // of the desired replicas
  std::optional<double> cost_change_per_hour;  // against those in force before
};

// Opaque to callers; a default one is a fresh start.
struct AutoscaleHistory {
  struct Group {
    TimePoint first_seen;
    bool started = false;  // its start-up time was learned
    common::AgentLoad last;
    std::optional<TimePoint> last_at;
    // Of the capacity sample that is being gathered:
    std::optional<TimePoint> sample_from;
    common::AgentLoad sample_base;
    int polls = 0;
    double running = 0, cache_use = 0, queue = 0;  // sums over the polls
  };
  struct Latencies {  // of warm groups since the last plan
    TimePoint at;
    common::LatencyHistogram first_token;
    common::LatencyHistogram inter_token;
  };

  std::optional<TimePoint> last_plan;
  std::map<std::string, Group> groups;
  std::deque<Latencies> latencies;
  ArrivalRecord arrivals;
  CapacityModel capacity;
  ScalingHistory scaling;
  double start_up = 45;                   // seconds from creation to traffic, learned
  std::optional<double> cache_use;        // smoothed
  std::optional<TimePoint> settled_at;    // since when every replica is warm
  std::optional<TimePoint> missed_since;  // a target, with all replicas warm
  std::optional<TimePoint> scaled_up_at;
  double busiest_minute = 0;  // since then, arrivals per second
  std::optional<TimePoint> scaled_down_at;
  std::optional<TimePoint> regretted_at;  // when a scale-up took back a recent scale-down
};

struct AutoscaleOutcome {
  AutoscaleDecision decision;
  AutoscaleHistory history;
};

AutoscaleOutcome plan_autoscale(const AutoscalingSpec& spec, const AutoscaleSignals& signals, AutoscaleHistory history,
                                TimePoint now);

// The number of replicas to work towards. `decided`: by the built-in autoscaler, if it has; otherwise `recorded`, which
// status remembers, and otherwise spec.replicas. A deployment that the user scaled to 0 stays there.
std::int32_t effective_replicas(std::int32_t spec_replicas, const std::optional<AutoscalingSpec>& autoscaling,
                                std::optional<std::int32_t> decided, std::optional<std::int32_t> recorded);

}  // namespace millrace::controller
