// A witness of every state that a deployment's pods go through, as a watch shows them one by one.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "operator/kube/watcher.h"

namespace millrace::testing {

// Extremes since the last reset.
struct Extremes {
  int fewest_routed = 0;  // groups whose leader is Ready, so that the Service sends requests to it
  int most_groups = 0;    // with at least one pod, of whatever age
  int routed = 0;         // now
  int groups = 0;
};

class Availability {
 public:
  Availability(controller::kube::Client& client, std::string deployment);

  Extremes extremes() const;
  void reset();  // extremes start from what is now

 private:
  void on_change(const controller::kube::Change& change);
  void judge_locked();

  const std::string deployment_;
  mutable std::mutex mutex_;
  std::map<std::string, controller::kube::ObjectPtr> pods_;  // by name
  Extremes extremes_;
  controller::kube::Informer informer_;  // last: it calls on_change
};

}  // namespace millrace::testing
