#include "operator/plan/cost.h"

#include <algorithm>

#include "operator/api/quantity.h"
#include "operator/kube/object.h"
#include "operator/kube/timestamp.h"
#include "operator/plan/decimal.h"

namespace millrace::controller {
namespace {

using kube::Json;

TimePoint whole_second(TimePoint time) {
  return std::chrono::floor<std::chrono::seconds>(time);
}

}  // namespace

std::optional<CostRecord> read_cost(const Json& json) {
  const kube::Object view(json);
  const auto since = kube::parse_timestamp(view.string_at("/since"));
  const auto as_of = kube::parse_timestamp(view.string_at("/asOf"));
  const auto groups = view.int_at("/groups");
  const auto hours = quantity_of(view.at("/replicaHours"));
  if (!since || !as_of || !groups || !hours) return std::nullopt;
  return CostRecord{*since,
                    *as_of,
                    static_cast<std::int32_t>(*groups),
                    quantity_of(view.at("/pricePerReplicaHour")),
                    *hours,
                    quantity_of(view.at("/total"))};
}

Json cost_json(const CostRecord& record) {
  Json json = {{"since", kube::format_time(record.since)},
               {"asOf", kube::format_time(record.as_of)},
               {"groups", record.groups},
               {"replicaHours", decimal(record.replica_hours, 4)}};
  if (record.price) json["pricePerReplicaHour"] = decimal(*record.price, 4);
  if (record.total) json["total"] = decimal(*record.total, 4);
  return json;
}

std::int32_t groups_that_cost(const std::vector<GroupView>& groups) {
  const auto costs = [](const GroupView& group) { return group_state(group) != GroupState::kUnscheduled; };
  return static_cast<std::int32_t>(std::count_if(groups.begin(), groups.end(), costs));
}

bool same_rate(const Json& recorded, const CostRecord& next) {
  const kube::Object before(recorded), after(cost_json(next));
  return before.int_at("/groups") == next.groups &&
         before.at("/pricePerReplicaHour") == after.at("/pricePerReplicaHour");
}

CostRecord carried_on(CostRecord record, TimePoint now) {
  const TimePoint until = std::max(whole_second(now), record.as_of);  // clocks of operators may differ
  const double hours = std::chrono::duration<double, std::ratio<3600>>(until - record.as_of).count() * record.groups;
  record.as_of = until;
  record.replica_hours += hours;
  if (record.price) record.total = record.total.value_or(0) + hours * *record.price;
  return record;
}

CostRecord next_cost(const std::optional<CostRecord>& before, std::int32_t groups, std::optional<double> price,
                     TimePoint now) {
  CostRecord record;
  record.since = record.as_of = whole_second(now);
  if (before) record = carried_on(*before, now);
  record.groups = groups;
  record.price = price;
  return record;
}

Json tokens_json(const TokenUse& use, const Json& recorded) {
  if (use.generated < 1) return recorded;
  return {{"since", kube::format_time(use.since)},
          {"generated", static_cast<std::int64_t>(use.generated)},
          {"perMillion", decimal(use.cost / use.generated * 1e6, 4)}};
}

bool is_news(const TokenUse& use, const Json& recorded, TimePoint now) {
  const kube::Object view(recorded);
  const auto told = kube::parse_timestamp(view.string_at("/asOf"));
  const bool known = view.int_at("/tokens/generated") == static_cast<std::int64_t>(use.generated) &&
                     view.string_at("/tokens/since") == kube::format_time(use.since);
  return use.generated >= 1 && !known && (!told || now >= *told + kTokenNews);
}

}  // namespace millrace::controller
