#include "operator/resources/controller_revision.h"

#include <array>
#include <string_view>

#include "operator/api/labels.h"
#include "operator/kube/timestamp.h"
#include "operator/plan/revision.h"

namespace millrace::controller {
namespace {

// Fields of a spec that can change without a new revision.
constexpr std::array<std::string_view, 7> kCommonFields{
    "replicas", "zones", "rollout", "paused", "autoscaling", "failover", "revisionHistoryLimit"};

bool is_common(std::string_view field) {
  for (const std::string_view common : kCommonFields) {
    if (field == common) return true;
  }
  return false;
}

void read_verdict(const kube::Object& object, RevisionRecord& record) {
  const Json verdict = Json::parse(object.annotation(kCanaryAnnotation).value_or(""), nullptr, false);
  if (!verdict.is_object() || verdict.value("number", Json()) != record.number) return;
  const Json word = verdict.value("verdict", Json());
  if (word == "Passed") record.verdict = CanaryVerdict::kPassed;
  if (word == "Failed") record.verdict = CanaryVerdict::kFailed;
  const Json reason = verdict.value("reason", Json());
  if (reason.is_string()) record.verdict_reason = reason.get<std::string>();
}

}  // namespace

std::string controller_revision_name(const kube::ObjectKey& deployment, const std::string& revision) {
  return deployment.name + "-" + revision;
}

Json revision_content(const Json& spec) {
  Json content = Json::object();
  if (!spec.is_object()) return content;
  for (const auto& item : spec.items()) {
    if (!is_common(item.key())) content[item.key()] = item.value();
  }
  return content;
}

Json with_revision_content(const Json& spec, const Json& content) {
  Json result = revision_content(content);
  if (!spec.is_object()) return result;
  for (const auto& item : spec.items()) {
    if (is_common(item.key())) result[item.key()] = item.value();
  }
  return result;
}

kube::Object build_controller_revision(const Parent& parent, const Json& spec, std::int64_t number,
                                       const std::string& change_cause) {
  kube::Object object = new_child(parent, kControllerRevision, controller_revision_name(parent.key, parent.revision));
  object.json()["metadata"]["labels"][kRevisionLabel] = parent.revision;
  if (!change_cause.empty()) object.json()["metadata"]["annotations"][kChangeCauseAnnotation] = change_cause;
  object.json()["revision"] = number;
  Json content = revision_content(spec);
  content["image"] = parent.spec.image;
  object.json()["data"]["spec"] = std::move(content);
  return object;
}

std::optional<RevisionRecord> revision_record(const kube::Object& object) {
  RevisionRecord record;
  record.revision = object.label(kRevisionLabel).value_or("");
  record.number = object.int_at("/revision").value_or(0);
  if (record.revision.empty() || record.number < 1) return std::nullopt;
  if (const auto time = object.annotation(kCompletedAnnotation)) record.completed = kube::parse_timestamp(*time);
  record.verified = object.annotation(kVerifiedAnnotation) == std::to_string(record.number);
  read_verdict(object, record);
  return record;
}

std::optional<Parent> parent_of_revision(const Parent& parent, const kube::Object& deployment,
                                         const kube::Object& revision) {
  const std::string hash = revision.label(kRevisionLabel).value_or("");
  kube::Object then = deployment;
  then.json()["spec"] = with_revision_content(deployment.at("/spec"), revision.at("/data/spec"));
  ParsedSpec parsed = parse_spec(then, UnknownFields::kIgnore);
  if (!parsed.ok() || revision_of(parsed.spec) != hash) return std::nullopt;
  Parent result = parent;
  result.spec = std::move(parsed.spec);
  result.revision = hash;
  return result;
}

Json completed_patch(TimePoint now) {
  return {{"metadata", {{"annotations", {{kCompletedAnnotation, kube::format_micro_time(now)}}}}}};
}

Json verified_patch(std::int64_t number) {
  return {{"metadata", {{"annotations", {{kVerifiedAnnotation, std::to_string(number)}}}}}};
}

Json verdict_patch(std::int64_t number, CanaryVerdict verdict, const std::string& reason) {
  Json value = {{"number", number}, {"verdict", verdict == CanaryVerdict::kPassed ? "Passed" : "Failed"}};
  if (!reason.empty()) value["reason"] = reason;
  return {{"metadata", {{"annotations", {{kCanaryAnnotation, value.dump()}}}}}};
}

}  // namespace millrace::controller
