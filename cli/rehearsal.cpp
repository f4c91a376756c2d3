#include "cli/rehearsal.h"

#include <algorithm>
#include <map>

#include "common/error.h"

namespace millrace::cli {
namespace {

using controller::GroupView;
using controller::TimePoint;
using controller::ZoneState;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kTick{1};
constexpr int kMostTicks = 10'000;

// Whole groups that serve from the moment they are there, and time that jumps to where something can happen.
class Stage {
 public:
  explicit Stage(const RehearsalInput& input) : input_(input) { observed_.nodes = input.nodes; }

  void set(const std::string& zone, ZoneState state, const std::string& reason) {
    observed_.zones[zone] = {state, now_, {}, reason};
    for (controller::NodeView& node : observed_.nodes) {
      if (node.zone == zone) node.schedulable = state != ZoneState::kFailed;
    }
  }
  void pass(seconds time) { now_ += time; }

  // Until nothing is left to do or to wait for.
  std::string play() {
    std::string told;
    for (int tick = 0; tick < kMostTicks; ++tick) {
      const controller::Plan plan = controller::plan(input_.deployment, input_.spec, input_.revision, observed_, now_);
      waiting_ = plan.waiting;
      if (!plan.moves_groups() && plan.look_again.count() == 0) break;
      const std::string events = carry_out(plan);
      told += events;
      now_ += events.empty() ? std::max<milliseconds>(plan.look_again, kTick) : milliseconds(kTick);
    }
    return told;
  }

  std::string summary() const {
    std::map<std::string, int> zones;
    for (const controller::NodeView& node : observed_.nodes) zones[node.zone] = 0;
    for (const GroupView& group : observed_.groups) ++zones[group.zone];
    std::string text = "  " + std::to_string(observed_.groups.size()) + " of " + std::to_string(input_.spec.replicas) +
                       " groups serve:";
    for (const auto& [zone, groups] : zones) text += " " + zone + " " + std::to_string(groups);
    for (const auto& [zone, groups] : waiting_) text += "; " + std::to_string(groups) + " wait for zone " + zone;
    return text + "\n";
  }

 private:
  std::string carry_out(const controller::Plan& plan) {
    std::string told;
    std::map<std::string, std::string> leaving;  // group -> why
    for (const controller::RetirePod& pod : plan.retire) leaving[pod.group] = pod.reason;
    for (const controller::DeletePod& pod : plan.erase) leaving[group_of(pod.name)] = pod.reason;
    for (const auto& [group, why] : leaving) {
      const auto found = find(group);
      if (found == observed_.groups.end()) continue;
      told += "  " + group + " leaves zone " + found->zone + ": " + why + "\n";
      observed_.groups.erase(found);
    }
    for (const controller::CreatePod& pod : plan.create) {
      if (find(pod.group) != observed_.groups.end()) continue;
      told += "  " + pod.group + " is made in zone " + pod.zone + "\n";
      observed_.groups.push_back(group_that_serves(pod));
    }
    return told;
  }

  std::vector<GroupView>::iterator find(const std::string& name) {
    return std::find_if(observed_.groups.begin(), observed_.groups.end(),
                        [&](const GroupView& group) { return group.name == name; });
  }
  static std::string group_of(const std::string& pod) { return pod.substr(0, pod.rfind('-')); }

  GroupView group_that_serves(const controller::CreatePod& wanted) const {
    GroupView group{wanted.group, wanted.revision, wanted.zone, wanted.group_index, input_.spec.pods_per_group(), {}};
    for (std::int32_t index = 0; index < group.expected_pods; ++index) {
      controller::PodView pod;
      pod.name = group.name + "-" + std::to_string(index);
      pod.index = index;
      pod.phase = "Running";
      pod.created = now_;
      pod.containers_ready = pod.ready = true;
      pod.gate = true;
      pod.gate_since = now_;
      pod.evidence.emplace();
      pod.evidence->answered = true;
      pod.evidence->status.phase = common::AgentPhase::kServing;
      group.pods.push_back(std::move(pod));
    }
    return group;
  }

  const RehearsalInput& input_;
  controller::Observed observed_;
  std::map<std::string, std::int32_t> waiting_;
  TimePoint now_{std::chrono::hours(24)};
};

std::string told(const std::string& events) {
  return events.empty() ? "  nothing moves\n" : events;
}

}  // namespace

std::string rehearse_failure(const RehearsalInput& input, const std::string& zone) {
  const bool known = std::any_of(input.nodes.begin(), input.nodes.end(),
                                 [&](const controller::NodeView& node) { return node.zone == zone; });
  if (!known) {
    throw common::Error(common::Code::kInvalidArgument,
                        "no zone is named \"" + zone + "\": name one of spec.zones, or of --zones");
  }
  Stage stage(input);
  stage.play();
  const std::string soak = std::to_string(input.spec.failover.failback_after_seconds);
  std::string text = "Before:\n" + stage.summary();
  stage.set(zone, ZoneState::kFailed, "it is rehearsed");
  text += "If zone " + zone + " fails:\n" + told(stage.play());
  text += stage.summary();
  stage.pass(std::chrono::hours(1));
  stage.set(zone, ZoneState::kHealthy, "it is rehearsed");
  text += "When it is well again (each move after " + soak + " s of calm):\n" + told(stage.play());
  text += stage.summary();
  return text;
}

}  // namespace millrace::cli
