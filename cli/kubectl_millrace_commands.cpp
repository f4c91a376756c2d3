#include "cli/kubectl_millrace_commands.h"

#include <algorithm>

#include "cli/merge_patch.h"
#include "cli/table.h"
#include "common/error.h"
#include "operator/api/labels.h"
#include "operator/kube/timestamp.h"
#include "operator/resources/controller_revision.h"

namespace millrace::cli {
namespace {

namespace kube = controller::kube;
using common::Code;
using common::Error;
using controller::CanaryVerdict;
using kube::Json;

std::string numbers_of(const Rollout& rollout) {
  std::string text;
  for (const Rollout::Revision& revision : rollout.revisions()) {
    text += (text.empty() ? "" : ", ") + std::to_string(revision.record.number);
  }
  return text.empty() ? "none" : text;
}

std::string state_of(const Rollout& rollout, const Rollout::Revision& revision) {
  std::string state;
  const auto add = [&](const std::string& word) { state += (state.empty() ? "" : ", ") + word; };
  if (&revision == rollout.asked()) add("asked for");
  if (&revision == rollout.stable()) add("stable");
  if (revision.record.verdict == CanaryVerdict::kFailed) add("failed its canary");
  return state.empty() ? "-" : state;
}

const Json* condition_of(const kube::Object& deployment, const std::string& type) {
  for (const Json& condition : deployment.at("/status/conditions")) {
    if (condition.value("type", Json()) == type) return &condition;
  }
  return nullptr;
}

bool holds(const kube::Object& deployment, const std::string& type) {
  const Json* condition = condition_of(deployment, type);
  return condition != nullptr && condition->value("status", Json()) == "True";
}

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

std::string group_table(const kube::Object& deployment) {
  std::vector<Row> rows{{"GROUP", "REVISION", "ZONE", "STATE"}};
  for (const Json& group : deployment.at("/status/groups")) {
    const kube::Object view(group);
    rows.push_back({view.string_at("/name"), or_dash(view.string_at("/revision")), or_dash(view.string_at("/zone")),
                    or_dash(view.string_at("/state"))});
  }
  return rows.size() == 1 ? "no groups\n" : format_table(rows);
}

std::string value_text(const Json& value) {
  return value.is_null() ? "(none)" : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Rollout::Rollout(kube::Client& client, const kube::ObjectKey& key) {
  std::optional<kube::Object> deployment = client.get(kube::kModelDeployment, key);
  if (!deployment) {
    throw Error(Code::kNotFound, "there is no ModelDeployment " + to_string(key) + ": kubectl get md -A lists them");
  }
  deployment_ = std::move(*deployment);
  kube::ListOptions options;
  options.ns = key.ns;
  options.label_selector = std::string(controller::kDeploymentLabel) + "=" + key.name;
  for (kube::Object& object : client.list(controller::kControllerRevision, options).items) {
    const auto owner = object.controller_owner();
    auto record = controller::revision_record(object);
    if (owner && owner->uid == deployment_.uid() && record) revisions_.push_back({*record, std::move(object)});
  }
  std::sort(revisions_.begin(), revisions_.end(),
            [](const Revision& a, const Revision& b) { return a.record.number < b.record.number; });
}

const Rollout::Revision* Rollout::asked() const {
  return revisions_.empty() ? nullptr : &revisions_.back();
}

const Rollout::Revision* Rollout::stable() const {
  std::vector<controller::RevisionRecord> records;
  for (const Revision& revision : revisions_) records.push_back(revision.record);
  const std::string stable = controller::stable_revision(records);
  const auto found = std::find_if(revisions_.begin(), revisions_.end(),
                                  [&](const Revision& revision) { return revision.record.revision == stable; });
  return found == revisions_.end() ? nullptr : &*found;
}

const Rollout::Revision& Rollout::numbered(std::int64_t number) const {
  const auto found = std::find_if(revisions_.begin(), revisions_.end(),
                                  [&](const Revision& revision) { return revision.record.number == number; });
  if (found == revisions_.end()) {
    throw Error(Code::kNotFound, "there is no revision " + std::to_string(number) + "; recorded: " + numbers_of(*this));
  }
  return *found;
}

const Rollout::Revision& Rollout::previous() const {
  if (stable() != nullptr && stable() != asked()) return *stable();
  if (revisions_.size() < 2) {
    throw Error(Code::kNotFound, "there is no earlier revision to go back to; recorded: " + numbers_of(*this));
  }
  return revisions_[revisions_.size() - 2];
}

std::string show_history(const Rollout& rollout) {
  std::vector<Row> rows{{"NUMBER", "REVISION", "STATE", "MODEL", "IMAGE", "COMPLETED", "CHANGE-CAUSE"}};
  std::string reasons;
  for (const Rollout::Revision& revision : rollout.revisions()) {
    const controller::RevisionRecord& record = revision.record;
    rows.push_back({std::to_string(record.number), record.revision, state_of(rollout, revision),
                    or_dash(revision.object.string_at("/data/spec/model/source")),
                    or_dash(revision.object.string_at("/data/spec/image")),
                    record.completed ? kube::format_time(*record.completed) : "-",
                    or_dash(revision.object.annotation(controller::kChangeCauseAnnotation).value_or(""))});
    if (!record.verdict_reason.empty()) reasons += "\n" + record.revision + ": " + record.verdict_reason + "\n";
  }
  return (rows.size() == 1 ? "no revision is recorded yet\n" : format_table(rows)) + reasons;
}

std::string show_status(const Rollout& rollout) {
  const kube::Object& deployment = rollout.deployment();
  const Json* ready = condition_of(deployment, "Ready");
  if (ready == nullptr) return "the operator has not looked at it yet\n";
  std::string text = "Ready: " + ready->value("status", "") + " (" + ready->value("reason", "") + ") " +
                     ready->value("message", "") + "\n";
  if (deployment.int_at("/status/observedGeneration") != deployment.generation()) {
    text += "The status is of an earlier spec: the operator has not seen the last change yet.\n";
  }
  text += "Revision: " + or_dash(deployment.string_at("/status/updateRevision")) + " asked for, " +
          or_dash(deployment.string_at("/status/currentRevision")) + " stable\n";
  const std::string canary = deployment.string_at("/status/rollout/canary/phase");
  if (!canary.empty()) {
    text += "Canary: " + canary + " " + deployment.string_at("/status/rollout/canary/message") + "\n";
  }
  return text + "\n" + group_table(deployment);
}

std::string show_diff(const Rollout& rollout, std::optional<std::int64_t> from, std::optional<std::int64_t> to) {
  const Rollout::Revision* asked = rollout.asked();
  if (asked == nullptr) return "no revision is recorded yet\n";
  const Rollout::Revision& before = from ? rollout.numbered(*from) : rollout.previous();
  const Rollout::Revision& after = to ? rollout.numbered(*to) : *asked;
  std::string text = "revision " + std::to_string(before.record.number) + " (" + before.record.revision + ") to " +
                     std::to_string(after.record.number) + " (" + after.record.revision + ")\n";
  const std::vector<FieldChange> changes =
      field_changes(before.object.at("/data/spec"), after.object.at("/data/spec"), "spec");
  for (const FieldChange& change : changes) {
    text += "  " + change.path + ": " + value_text(change.before) + " -> " + value_text(change.after) + "\n";
  }
  return changes.empty() ? text + "  no field differs\n" : text;
}

std::string undo(kube::Client& client, const Rollout& rollout, std::optional<std::int64_t> to) {
  const Rollout::Revision& wanted = to ? rollout.numbered(*to) : rollout.previous();
  const Json& spec = rollout.deployment().at("/spec");
  const Json target = controller::with_revision_content(spec, wanted.object.at("/data/spec"));
  const Json patch = merge_patch_between(spec, target);
  const std::string which = "revision " + std::to_string(wanted.record.number) + " (" + wanted.record.revision + ")";
  if (patch.empty()) return "the spec already asks for " + which + "\n";
  client.patch(kube::kModelDeployment, rollout.deployment().key(),
               {{"metadata", {{"resourceVersion", rollout.deployment().resource_version()}}}, {"spec", patch}});
  return "the spec now asks for " + which + ", with image " + wanted.object.string_at("/data/spec/image") + "\n";
}

std::string set_paused(kube::Client& client, const Rollout& rollout, bool paused) {
  const kube::Object& deployment = rollout.deployment();
  if (deployment.bool_at("/spec/paused") == paused) return paused ? "it is paused already\n" : "it is not paused\n";
  client.patch(kube::kModelDeployment, deployment.key(), {{"spec", {{"paused", paused}}}});
  return paused ? "paused: groups stay of the revision they are\n" : "resumed\n";
}

RolloutEnd rollout_end(const kube::Object& deployment) {
  if (deployment.int_at("/status/observedGeneration") != deployment.generation()) return RolloutEnd::kGoesOn;
  if (holds(deployment, "Ready")) return RolloutEnd::kReady;
  return holds(deployment, "Stalled") ? RolloutEnd::kStalled : RolloutEnd::kGoesOn;
}

}  // namespace millrace::cli
