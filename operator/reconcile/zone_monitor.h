// Watches over the zones of the cluster: about twice a second it gathers what agents, nodes and leases say and lets
// next_health() judge. Leases are read from the API server only while a zone is in doubt.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "operator/kube/client.h"
#include "operator/plan/zone_evidence.h"

namespace millrace::controller {

class ZoneMonitor {
 public:
  struct Sources {
    std::function<ZoneContacts()> agents;
    std::function<std::vector<NodeView>()> nodes;
    // Asked for while a zone is in doubt, with those that take no traffic.
    std::function<std::map<std::string, KubeletAnswers>(const std::set<std::string>& zones)> kubelets;
    std::function<TimePoint()> now;
  };

  // `client` is borrowed.
  ZoneMonitor(kube::Client& client, Sources sources, ZoneThresholds thresholds = {});

  // One look. The zones whose state has changed. One thread at a time.
  std::set<std::string> look(std::stop_token stop = {});

  // At the last look a zone was in doubt, or we were: look again sooner. The thread that looks.
  bool in_doubt() const { return in_doubt_; }

  // Any thread.
  ZoneHealths health() const;

 private:
  ZoneContacts agents(TimePoint now) const;
  std::map<std::string, KubeletAnswers> kubelets(const ZoneHealths& health) const;
  void read_leases(std::stop_token stop);
  void tell(const ZoneHealths& before, const ZoneHealths& after) const;

  kube::Client& client_;
  const Sources sources_;
  const ZoneThresholds thresholds_;
  LeaseMemory leases_;
  bool in_doubt_ = false;
  std::optional<TimePoint> read_at_;     // the last attempt
  std::optional<TimePoint> reached_at_;  // the last that succeeded
  // Nobody answered the last attempt: it may be us who are cut off.
  bool alone_ = false;
  std::optional<TimePoint> alone_until_;  // that was so at last
  mutable std::mutex mutex_;
  ZoneHealths health_;
};

}  // namespace millrace::controller
