// What `kubectl millrace` does: reads a deployment and its revisions, and changes nothing but spec. Each command
// returns what is printed. They throw common::Error, which names what is not there and what is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "operator/kube/client.h"
#include "operator/plan/history.h"

namespace millrace::cli {

// A deployment and the revisions the operator has recorded of it, by number.
class Rollout {
 public:
  struct Revision {
    controller::RevisionRecord record;
    controller::kube::Object object;
  };

  Rollout(controller::kube::Client& client, const controller::kube::ObjectKey& key);

  const controller::kube::Object& deployment() const { return deployment_; }
  const std::vector<Revision>& revisions() const { return revisions_; }
  // What the spec asks for is the last; null while the operator has recorded none.
  const Revision* asked() const;
  const Revision* stable() const;  // null: no rollout has finished
  const Revision& numbered(std::int64_t number) const;
  // Where undo goes to: the stable revision when another is asked for, else the one before.
  const Revision& previous() const;

 private:
  controller::kube::Object deployment_;
  std::vector<Revision> revisions_;
};

std::string show_history(const Rollout& rollout);
std::string show_status(const Rollout& rollout);
// Empty numbers: from the previous revision to the one asked for.
std::string show_diff(const Rollout& rollout, std::optional<std::int64_t> from, std::optional<std::int64_t> to);
std::string undo(controller::kube::Client& client, const Rollout& rollout, std::optional<std::int64_t> to);
std::string set_paused(controller::kube::Client& client, const Rollout& rollout, bool paused);

// Whether waiting for the rollout has an end: Ready, or only a person can go on (condition Stalled).
enum class RolloutEnd { kGoesOn, kReady, kStalled };
RolloutEnd rollout_end(const controller::kube::Object& deployment);

}  // namespace millrace::cli
