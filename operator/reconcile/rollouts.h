// What the reconciler knows and writes of revisions: their records, whether their models were verified, the verdict on
// a canary, the mark of a rollout that has finished; and what a canary is measured at, which is kept in memory: after a
// restart of the operator a comparison starts anew. Decisions are in operator/plan (history, canary, rollout_target);
// this reads and writes.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "operator/kube/client.h"
#include "operator/plan/canary_window.h"
#include "operator/plan/plan.h"
#include "operator/plan/rollout_status.h"
#include "operator/reconcile/golden_examiner.h"
#include "operator/reconcile/reader.h"
#include "operator/resources/child.h"

namespace millrace::controller {

struct RolloutView {
  std::vector<RevisionRecord> records;
  RolloutReport report;
  std::map<std::string, Parent> parents;  // by revision: those of which groups may be made
};

// Any thread, one deployment at a time. `client` is borrowed.
class Rollouts {
 public:
  using Clock = std::function<TimePoint()>;

  // `examiner` is borrowed and may be null: golden prompts are then not asked.
  Rollouts(kube::Client& client, Clock now, GoldenExaminer* examiner)
      : client_(client), now_(std::move(now)), examiner_(examiner) {}

  // Reads and decides; writes nothing. `asked` is the deployment as its spec asks for it.
  RolloutView look(const ClusterReader& from, const kube::Object& object, const Parent& asked,
                   const Observed& observed) const;
  // Writes down what has been decided, has the model of a revision verified, measures a canary that runs, and brings
  // the history into order. `live` is looked at where the cache may be behind, and told of what is changed.
  void keep(const kube::Object& object, const Parent& asked, const Observed& observed, RolloutView& view,
            LiveLook& live);
  // Has the golden prompts of a canary asked once its groups are warm. `access`: to the deployment's agents.
  void examine(const Parent& asked, const Observed& observed, const RolloutView& view, const AgentAccess& access);
  void forget(const kube::ObjectKey& deployment);

 private:
  struct Comparison {
    std::string revision;
    TimePoint since;
    TimePoint read_at;
    CanaryWindow window;
  };

  CanaryPlan judge(const Parent& asked, const Observed& observed, const RolloutView& view) const;
  void verify(const Parent& asked, const RolloutView& view, LiveLook& live);
  void measure(const Parent& asked, const Observed& observed, const RolloutView& view);
  void keep_history(const kube::Object& object, const Parent& asked, const Observed& observed, RolloutView& view,
                    LiveLook& live);
  void annotate(const Parent& asked, const Json& patch, LiveLook& live);

  kube::Client& client_;
  const Clock now_;
  GoldenExaminer* const examiner_;
  mutable std::mutex mutex_;
  std::map<kube::ObjectKey, Comparison> comparisons_;  // of canaries that run
};

}  // namespace millrace::controller
