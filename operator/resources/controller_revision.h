// A revision of a deployment as an apps/v1 ControllerRevision: the part of the spec that shapes pods, named by its
// hash. The content never changes (the API server sees to that); the number and annotations do.
#pragma once

#include <optional>
#include <string>

#include "operator/plan/history.h"
#include "operator/resources/child.h"

namespace millrace::controller {

inline constexpr kube::ResourceKind kControllerRevision{"apps", "v1", "controllerrevisions", "ControllerRevision",
                                                        true};

// On revisions: when a rollout last finished with it, RFC 3339.
inline constexpr const char* kCompletedAnnotation = "millrace.dev/completed";
// On revisions: {"number", "verdict": "Passed" or "Failed", "reason"}, of the canary of that number.
inline constexpr const char* kCanaryAnnotation = "millrace.dev/canary";
// On revisions: the number of the rollout for which the model was verified.
inline constexpr const char* kVerifiedAnnotation = "millrace.dev/verified";
inline constexpr const char* kChangeCauseAnnotation = "kubernetes.io/change-cause";

std::string controller_revision_name(const kube::ObjectKey& deployment, const std::string& revision);

// The fields of a spec that belong to a revision: all but those that say how many, where and how to change.
Json revision_content(const Json& spec);
// `spec` with the revision's fields in place of its own.
Json with_revision_content(const Json& spec, const Json& content);

// `spec` is the stored spec of the deployment; the image is written out, since the default may be another tomorrow.
kube::Object build_controller_revision(const Parent& parent, const Json& spec, std::int64_t number,
                                       const std::string& change_cause);

// Empty for an object that is not one of ours.
std::optional<RevisionRecord> revision_record(const kube::Object& object);

// The deployment as it would be with this revision; empty when the stored content does not give the revision its name
// says (somebody made it by hand, or it is of another version of the operator).
std::optional<Parent> parent_of_revision(const Parent& parent, const kube::Object& deployment,
                                         const kube::Object& revision);

// Merge patches of the metadata.
Json completed_patch(TimePoint now);
Json verified_patch(std::int64_t number);
Json verdict_patch(std::int64_t number, CanaryVerdict verdict, const std::string& reason);

}  // namespace millrace::controller
