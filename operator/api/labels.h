// Names that are part of the product's contract with users, dashboards and selectors. They never change.
#pragma once

namespace millrace::controller {

inline constexpr const char* kDeploymentLabel = "millrace.dev/deployment";
inline constexpr const char* kGroupLabel = "millrace.dev/group";         // name of the group
inline constexpr const char* kPodIndexLabel = "millrace.dev/pod-index";  // 0 is the leader
inline constexpr const char* kRevisionLabel = "millrace.dev/revision";
inline constexpr const char* kZoneLabel = "millrace.dev/zone";  // absent when the nodes carry no zones

// On pods: since when the group is being retired, RFC 3339. Once set it is never taken back.
inline constexpr const char* kRetiringAnnotation = "millrace.dev/retiring-since";
// On children: hash of what the operator last applied, so that fields it stops wanting are noticed.
inline constexpr const char* kAppliedAnnotation = "millrace.dev/applied";

// On ModelDeployments, set by people: a new value asks for a new admin token. On the admin Secret: the value that was
// answered last.
inline constexpr const char* kRotateAnnotation = "millrace.dev/rotate-admin-token";

inline constexpr const char* kRoutableGate = "millrace.dev/routable";  // readiness gate and condition of pods

inline constexpr const char* kTopologyZone = "topology.kubernetes.io/zone";
inline constexpr const char* kHostname = "kubernetes.io/hostname";
inline constexpr const char* kManagedBy = "app.kubernetes.io/managed-by";
inline constexpr const char* kManagedByValue = "millrace-operator";

}  // namespace millrace::controller
