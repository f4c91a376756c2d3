// The admin tokens of all deployments: made, remembered, because Secrets are not cached, and rotated without a pod
// being touched. Asked for by a new value of kRotateAnnotation; a Secret that somebody deleted is made anew the same
// way.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "operator/kube/client.h"
#include "operator/kube/events.h"
#include "operator/resources/admin_secret.h"

namespace millrace::controller {

// Any thread, one deployment at a time. `client` is borrowed, and `events`, which may be null.
class AdminTokens {
 public:
  AdminTokens(kube::Client& client, kube::EventRecorder* events, std::function<TimePoint()> now)
      : client_(client), events_(events), now_(std::move(now)) {}

  struct Access {
    AdminToken token;
    std::chrono::milliseconds look_again{0};  // 0: no time is waited for
  };
  // `look`: at the Secret, even when its content is remembered. Throws what the cluster refuses, but that a Secret may
  // not be changed is told as an event, and its token stays.
  Access get(const kube::Object& object, const Parent& parent, bool look);
  void forget(const kube::ObjectKey& deployment);

  // As the Secret has it now, for who may not write; empty when there is none.
  std::optional<AdminToken> read_only(const kube::ObjectKey& deployment) const;

 private:
  struct Known {
    std::string uid;  // of the deployment
    AdminToken token;
    std::string request;  // the last that was looked at
  };

  Access access_of(const Known& known) const;
  Known read(const kube::Object& object, const Parent& parent, const Known& before);
  Known rotate(const kube::Object& object, const Parent& parent, const kube::Object& secret, Known known);
  void tell(const kube::Object& object, const Parent& parent, const AdminToken& token);

  kube::Client& client_;
  kube::EventRecorder* events_;
  const std::function<TimePoint()> now_;
  std::mutex mutex_;
  std::map<kube::ObjectKey, Known> known_;  // by deployment
};

}  // namespace millrace::controller
