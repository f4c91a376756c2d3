// Writes the status of deployments: only what changed, and not twice what one write can say. A look that did something
// to pods is followed by another, brought by what the cluster says of them: status is left to that one for a moment.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>

#include "operator/kube/client.h"
#include "operator/kube/events.h"
#include "operator/kube/store.h"
#include "operator/plan/status.h"
#include "operator/reconcile/token_ledger.h"

namespace millrace::controller {

// What happened is in status after this time at the latest, whether or not the cluster has said more of it.
inline constexpr std::chrono::milliseconds kStatusPatience{1'000};

// Any thread, one deployment at a time. `client` is borrowed, and `events`, which may be null.
class StatusWriter {
 public:
  StatusWriter(kube::Client& client, kube::EventRecorder* events, std::function<TimePoint()> now)
      : client_(client), events_(events), now_(std::move(now)) {}

  // `acted`: this look changed pods. Returns after which time status may have to be told anew; 0: no time is waited
  // for. Throws what the cluster refuses, but that the object is not the latest is no error: another look follows.
  std::chrono::milliseconds write(const kube::Object& object, const StatusInput& input, bool acted);
  // The object as it is then; null when `object` is not the latest, which our own last write may have made sure of.
  kube::ObjectPtr store(const kube::Object& object, Json status);
  void forget(const kube::ObjectKey& deployment);

 private:
  std::chrono::milliseconds patience_left(const kube::ObjectKey& deployment, bool waits);
  bool is_replaced(const kube::Object& object);
  void tell_zones(const kube::Object& object, const Json& status);

  kube::Client& client_;
  kube::EventRecorder* events_;
  const std::function<TimePoint()> now_;
  TokenLedger token_ledger_;
  std::mutex mutex_;
  std::map<kube::ObjectKey, TimePoint> unsaid_since_;  // of deployments whose status waits
  std::map<kube::ObjectKey, std::string> replaced_;    // the version of a deployment that our last write replaced
};

}  // namespace millrace::controller
