// Opens and closes the gates of pods. What was said of a pod is not said again while the cache still shows the version
// of the pod that it was said of: the cluster's answer is on its way.
#pragma once

#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "operator/kube/client.h"
#include "operator/plan/plan.h"

namespace millrace::controller {

// Any thread, one deployment at a time. `client` is borrowed.
class GateWriter {
 public:
  GateWriter(kube::Client& client, std::function<TimePoint()> now) : client_(client), now_(std::move(now)) {}

  // Every gate, whatever becomes of the others, and what each threw (null: nothing). All at about the same time: what
  // becomes of a Service soon after a change reaches kube-proxy a second later. The pods are among those observed.
  std::vector<std::exception_ptr> write(const kube::ObjectKey& deployment, const std::vector<SetGate>& gates,
                                        const Observed& observed);
  void forget(const kube::ObjectKey& deployment);

 private:
  struct Said {
    std::string version;  // of the pod
    SetGate gate;
  };
  using SaidOfPods = std::map<std::string, Said>;  // by name

  SaidOfPods recall(const kube::ObjectKey& deployment, const Observed& observed);
  kube::ApplyRequest request(const std::string& ns, const SetGate& gate, const PodView& pod) const;

  kube::Client& client_;
  const std::function<TimePoint()> now_;
  std::mutex mutex_;
  std::map<kube::ObjectKey, SaidOfPods> said_;  // by deployment; what the cache does not show yet
};

}  // namespace millrace::controller
