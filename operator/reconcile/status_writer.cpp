#include "operator/reconcile/status_writer.h"

#include "operator/plan/cost.h"
#include "operator/plan/zone_status.h"
#include "operator/reconcile/compare.h"
#include "operator/reconcile/stale.h"

namespace millrace::controller {
namespace {

using std::chrono::milliseconds;

constexpr const char* kStatusManager = "millrace-operator/status";

CostRecord cost_of(const StatusInput& input, const Json& recorded, TimePoint now) {
  std::optional<double> price;
  if (input.spec.autoscaling) price = input.spec.autoscaling->cost_per_replica_hour;
  const std::optional<CostRecord> before = read_cost(recorded);
  if (!input.problems.empty() && before) price = before->price;  // what was refused says nothing
  return next_cost(before, groups_that_cost(input.observed.groups), price, now);
}

}  // namespace

milliseconds StatusWriter::write(const kube::Object& object, const StatusInput& input, bool acted) {
  const bool behind = is_replaced(object);
  const Json& before = object.at("/status");
  const TimePoint now = now_();
  Json status = status_of(input, before, now);
  const Json recorded = object.at("/status/cost");
  const CostRecord cost = cost_of(input, recorded, now);
  const std::optional<TokenUse> tokens = token_ledger_.read(object.key(), input.observed.groups, cost);
  const milliseconds again = tokens ? milliseconds(kTokenNews) : milliseconds(0);
  if (!recorded.is_null()) status["cost"] = recorded;
  const bool news = tokens && is_news(*tokens, recorded, now);
  const bool same = !news && same_rate(recorded, cost) && same_status(status, before);
  const milliseconds left = patience_left(object.key(), acted && !same && input.error.empty() && input.missing.empty());
  if (left.count() > 0) return left;
  if (same) return again;
  if (behind) return kStatusPatience;
  tell_zones(object, status);
  status["cost"] = cost_json(cost);  // totals go on with every other change, never for their own sake
  const Json& told = object.at("/status/cost/tokens");
  if (Json now_told = tokens ? tokens_json(*tokens, told) : told; !now_told.is_null()) {
    status["cost"]["tokens"] = std::move(now_told);
  }
  store(object, std::move(status));
  return again;
}

// 0: it is to be said now, or there is nothing to wait for.
milliseconds StatusWriter::patience_left(const kube::ObjectKey& deployment, bool waits) {
  const std::lock_guard lock(mutex_);
  if (waits) {
    const TimePoint since = unsaid_since_.try_emplace(deployment, now_()).first->second;
    const auto left = std::chrono::ceil<milliseconds>(since + kStatusPatience - now_());
    if (left.count() > 0) return left;
  }
  unsaid_since_.erase(deployment);
  return milliseconds(0);
}

kube::ObjectPtr StatusWriter::store(const kube::Object& object, Json status) {
  if (is_replaced(object)) return nullptr;  // the cache is behind; what it is told next leads to a new look
  kube::Object wanted(kube::kModelDeployment, object.key());
  // Not of a later version, still less of another object of the name: whatever it was that changed leads to a new look.
  wanted.json()["metadata"]["resourceVersion"] = object.resource_version();
  wanted.json()["status"] = std::move(status);
  kube::ApplyOptions options;
  options.subresource = "status";
  options.field_manager = kStatusManager;
  kube::ObjectPtr stored;
  unless_stale(
      [&] { stored = std::make_shared<const kube::Object>(client_.apply(kube::kModelDeployment, wanted, options)); });
  if (stored && stored->resource_version() != object.resource_version()) {
    const std::lock_guard lock(mutex_);
    replaced_[object.key()] = object.resource_version();
  }
  return stored;
}

bool StatusWriter::is_replaced(const kube::Object& object) {
  const std::lock_guard lock(mutex_);
  const auto found = replaced_.find(object.key());
  if (found == replaced_.end()) return false;
  if (found->second == object.resource_version()) return true;
  replaced_.erase(found);
  return false;
}

void StatusWriter::forget(const kube::ObjectKey& deployment) {
  token_ledger_.forget(deployment);
  const std::lock_guard lock(mutex_);
  unsaid_since_.erase(deployment);
  replaced_.erase(deployment);
}

// Of the zones that the deployment uses.
void StatusWriter::tell_zones(const kube::Object& object, const Json& status) {
  if (events_ == nullptr) return;
  for (const ZoneChange& change : zone_changes(object.at("/status/zoneStates"), status.value("zoneStates", Json()))) {
    std::string message = "Zone " + change.zone + " is " + change.state;
    if (!change.reason.empty()) message += ": " + change.reason;
    if (change.state == "Healthy") {
      events_->normal(object, "ZoneHealthy", "WatchZones", message);
    } else {
      events_->warning(object, "Zone" + change.state, "WatchZones", message);
    }
  }
}

}  // namespace millrace::controller
