// The operator's view of what exists: pods, gathered into groups. Plain values, filled by observation, read by every
// plan.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/kube/timestamp.h"
#include "operator/plan/evidence.h"

namespace millrace::controller {

using TimePoint = std::chrono::system_clock::time_point;

struct PodView {
  std::string name;
  std::string uid;
  std::string version;  // of the object that this is a view of
  std::string node;
  std::string ip;  // empty until it has one
  std::int32_t index = 0;
  std::string phase;  // "Pending", "Running", "Succeeded", "Failed"
  TimePoint created;
  std::optional<TimePoint> gone_by;  // set: being deleted, and the node should have finished at this time
  bool containers_ready = false;
  bool ready = false;        // containers and gates, as its node has acknowledged them: what puts it into endpoints
  bool gated = true;         // it is Ready only with its gate open: the leader of a group, where requests arrive
  std::optional<bool> gate;  // condition millrace.dev/routable; empty: never written, so never routed
  TimePoint gate_since;
  // Its gate was closed because it is in doubt (routing.h), and its kubelet has or has not taken notice.
  std::optional<bool> doubt_answered;
  std::optional<TimePoint> retiring_since;
  std::string unschedulable;   // the scheduler's message; empty: none
  std::string trouble_reason;  // of a container that does not start: "ImagePullBackOff", "CrashLoopBackOff"; or empty
  std::string trouble_message;
  std::int32_t restarts = 0;  // of its containers
  std::string tls_secret;     // with the certificate that its agent shows; empty: plain HTTP
  std::optional<AgentEvidence> evidence;

  bool terminating() const { return gone_by.has_value(); }
  bool ended() const { return phase == "Failed" || phase == "Succeeded"; }
};

struct GroupView {
  std::string name;
  std::string revision;
  std::string zone;  // empty when the nodes carry no zones
  std::int32_t index = 0;
  std::int32_t expected_pods = 1;
  std::vector<PodView> pods;  // by index; missing ones are absent

  const PodView* leader() const;  // pod 0, or null
  const PodView* pod(std::int32_t index) const;
  bool complete() const;     // every pod is there and none is being deleted or has ended
  bool retiring() const;     // marked on at least one pod
  bool terminating() const;  // nothing is left but pods being deleted
  std::optional<TimePoint> retiring_since() const;
  bool routable() const;      // requests reach it now: its gate is open, and its node has said so to the cluster
  bool was_routable() const;  // it was routed at some time of its life
};

enum class GroupState {
  kIncomplete,   // pods are missing, ended or going away
  kUnscheduled,  // no node takes a pod
  kFailing,      // containers do not start or the engine says it failed
  kStarting,     // containers are being started
  kLoading,      // weights are being loaded
  kReady,        // could serve, not routed yet
  kRoutable,
  kDraining,
  kTerminating,
};
std::string_view to_string(GroupState state);

GroupState group_state(const GroupView& group);

}  // namespace millrace::controller
