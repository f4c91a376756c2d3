// What the operator knows of its deployments, zones and watches, as metrics. Pure: read off at each scrape, so that a
// deployment that is gone leaves no series behind. Labels: `namespace` and `deployment` name the object.
#pragma once

#include <prometheus/metric_family.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "operator/kube/store.h"
#include "operator/plan/zone_health.h"

namespace millrace::controller {

struct WatchView {
  std::string kind;
  std::string ns;  // empty: all namespaces
  bool synced = false;
  std::chrono::duration<double> silence{0};  // since the server was seen to be heard: a list, an event or a bookmark
  std::uint64_t lists = 0;
  std::uint64_t failures = 0;
};

struct Usage {
  double tokens = 0;       // generated while this operator led
  double cost_before = 0;  // what the deployment had cost when their counting began
};

struct FleetView {
  // Shows each deployment, as cached, with status; none where another operator leads.
  std::function<void(const std::function<void(const kube::Object&)>& show)> each_deployment = [](const auto&) {};
  ZoneHealths zones;
  std::vector<WatchView> watches;
  std::map<kube::ObjectKey, Usage> usage;
  TimePoint now;
};

std::vector<prometheus::MetricFamily> fleet_metrics(const FleetView& fleet);

}  // namespace millrace::controller
