// The revisions a deployment has had: which are recorded, which is the stable one, which may be forgotten. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/plan/group.h"

namespace millrace::controller {

enum class CanaryVerdict { kNone, kPassed, kFailed };

// What the operator has written on a revision. A revision that is asked for again gets the next number, as in a
// StatefulSet; verdicts of earlier numbers no longer hold.
struct RevisionRecord {
  std::string revision;  // hash of the content
  std::int64_t number = 0;
  std::optional<TimePoint> completed;  // when a rollout last finished with it
  CanaryVerdict verdict = CanaryVerdict::kNone;
  std::string verdict_reason;  // why it failed
  bool verified = false;       // the model was read before groups made room for it
};

// The record of `revision`, or null.
const RevisionRecord* find_record(const std::vector<RevisionRecord>& records, const std::string& revision);

// The revision of the last rollout that finished; empty when none ever did.
std::string stable_revision(const std::vector<RevisionRecord>& records);

struct HistoryInput {
  std::string asked;
  std::vector<RevisionRecord> records;
  std::set<std::string> in_use;  // revisions of groups that exist
  std::int32_t limit = 10;       // of records beside those in use, asked for or stable
};

struct HistoryPlan {
  std::int64_t number = 0;         // of the asked revision
  bool create = false;             // it has no record yet
  bool renumber = false;           // it was asked for before, and is again
  std::vector<std::string> erase;  // revisions, oldest first

  bool empty() const { return !create && !renumber && erase.empty(); }
};

HistoryPlan plan_history(const HistoryInput& input);

}  // namespace millrace::controller
