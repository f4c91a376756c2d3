#include "cli/simulate.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <random>

#include "cli/simulate_group.h"
#include "cli/table.h"

namespace millrace::cli {
namespace {

using controller::AutoscaleSignals;
using controller::GroupLife;
using controller::TimePoint;

constexpr double kShareInTime = 0.95;

// Of a minute: how much there was and how much of it met its target.
struct Minute {
  double requests = 0, requests_in_time = 0;
  double tokens = 0, tokens_in_time = 0;
};

class Ledger final : public ServiceObserver {
 public:
  Ledger(const controller::AutoscalingTargets& targets, double seconds)
      : targets_(targets), minutes_(static_cast<std::size_t>(std::ceil(seconds / 60))) {}

  void arrived(double at) { ++minute(at).requests; }
  void first_token(double arrival, double now) override {
    if (!targets_.first_token_p95 || now - arrival <= *targets_.first_token_p95) ++minute(arrival).requests_in_time;
  }
  void tokens(double now, double gap, double count) override {
    Minute& entry = minute(now);
    entry.tokens += count;
    if (!targets_.inter_token_p95 || gap <= *targets_.inter_token_p95) entry.tokens_in_time += count;
  }

  void fill(SimulationResult& result) const {
    for (const Minute& entry : minutes_) {
      result.requests += static_cast<std::int64_t>(entry.requests);
      result.requests_in_time += static_cast<std::int64_t>(entry.requests_in_time);
      if (entry.requests == 0) continue;
      ++result.minutes;
      const bool held = entry.requests_in_time >= kShareInTime * entry.requests &&
                        entry.tokens_in_time >= kShareInTime * entry.tokens;
      result.minutes_held += held ? 1 : 0;
      if (!held) result.missed.push_back(static_cast<int>(&entry - minutes_.data()));
    }
  }

 private:
  Minute& minute(double second) {
    const auto index = static_cast<std::size_t>(std::max(0.0, second) / 60);
    return minutes_[std::min(index, minutes_.size() - 1)];
  }

  const controller::AutoscalingTargets targets_;
  std::vector<Minute> minutes_;
};

// The same for every rule: requests come whatever the replicas do.
class Arrivals {
 public:
  Arrivals(const LoadTrace& trace, std::uint64_t seed) : trace_(trace), random_(seed) {}

  // Those of the second that begins at `second`, in order.
  std::vector<SimulatedRequest> of(double second) {
    const TraceRow& row = trace_.at(second);
    std::vector<SimulatedRequest> requests;
    for (double at = second + gap(row); at < second + 1; at += gap(row)) {
      requests.push_back({at, length(row.prompt_tokens), length(row.output_tokens)});
    }
    return requests;
  }

 private:
  double gap(const TraceRow& row) {
    return row.requests_per_second > 0 ? -std::log1p(-unit()) / row.requests_per_second : 1e9;
  }
  // Log-normal with this mean and a standard deviation of about 0.66 of it.
  double length(double mean) {
    constexpr double kSigma = 0.6;
    const double normal = std::sqrt(-2 * std::log1p(-unit())) * std::cos(2 * M_PI * unit());
    return std::max(1.0, std::round(mean * std::exp(kSigma * normal - kSigma * kSigma / 2)));
  }
  double unit() { return static_cast<double>(random_() >> 11) * 0x1p-53; }  // the same on every platform

  const LoadTrace& trace_;
  std::mt19937_64 random_;
};

class Fleet {
 public:
  Fleet(const LoadTrace& trace, ServiceObserver& observer, std::uint64_t seed)
      : trace_(trace), observer_(observer), router_(seed ^ 0x9e3779b97f4a7c15u) {
    signals_.replicas = trace.start_replicas;
    for (int i = 0; i < trace.start_replicas; ++i) add(-3600);
  }

  // Connections are spread at random, as by a Service.
  void route(const SimulatedRequest& request) {
    std::vector<Member*> serving;
    for (auto& [name, member] : members_) {
      if (!member.leaving && member.serves_from <= request.arrival) serving.push_back(&member);
    }
    if (serving.empty()) return;
    Member& target = *serving[router_() % serving.size()];
    target.group.advance(request.arrival);
    target.group.arrive(request);
  }

  void advance(double now) {
    for (auto& [name, member] : members_) member.group.advance(now);
    std::erase_if(members_, [](const auto& item) { return item.second.leaving && item.second.group.idle(); });
    now_ = now;
  }

  const AutoscaleSignals& signals() {
    signals_.groups.clear();
    for (auto& [name, member] : members_) {
      controller::GroupSignal signal;
      signal.group = name;
      const double serving_for = now_ - member.serves_from;
      signal.life = member.leaving ? GroupLife::kLeaving : serving_for < 0 ? GroupLife::kCold : GroupLife::kServing;
      if (serving_for > 0) signal.serving_for = std::chrono::milliseconds(static_cast<std::int64_t>(serving_for * 1e3));
      signal.load = member.group.load();
      signals_.groups.push_back(std::move(signal));
    }
    return signals_;
  }

  void scale(std::int32_t replicas) {
    signals_.replicas = replicas;
    while (staying() < replicas) add(now_);
    while (staying() > replicas) retire();
  }

  int size() const { return static_cast<int>(members_.size()); }

 private:
  struct Member {
    SimulatedGroup group;
    double serves_from;
    bool leaving = false;
  };

  int staying() const {
    return static_cast<int>(
        std::count_if(members_.begin(), members_.end(), [](const auto& item) { return !item.second.leaving; }));
  }

  void add(double now) {
    char name[16];
    std::snprintf(name, sizeof name, "g%06d", next_++);
    members_.emplace(name, Member{SimulatedGroup(trace_.service, observer_, std::max(now, 0.0)),
                                  now + trace_.service.start_up_seconds});
  }

  // The youngest first: those that do not serve yet cost nothing to lose.
  void retire() {
    const auto youngest =
        std::find_if(members_.rbegin(), members_.rend(), [](const auto& item) { return !item.second.leaving; });
    youngest->second.leaving = true;
  }

  const LoadTrace& trace_;
  ServiceObserver& observer_;
  std::mt19937_64 router_;
  std::map<std::string, Member> members_;  // by age
  AutoscaleSignals signals_;
  int next_ = 0;
  double now_ = 0;
};

// Counts the turns of the number of desired replicas.
class Turns {
 public:
  void change(double now, int by) {
    if (by == 0) return;
    if (last_ * by < 0) at_.push_back(now);
    last_ = by;
  }
  int all() const { return static_cast<int>(at_.size()); }
  int most_within(double seconds) const {
    int most = 0;
    for (std::size_t first = 0, last = 0; last < at_.size(); ++last) {
      while (at_[last] - at_[first] >= seconds) ++first;
      most = std::max(most, static_cast<int>(last - first) + 1);
    }
    return most;
  }

 private:
  int last_ = 0;
  std::vector<double> at_;
};

}  // namespace

SimulationResult simulate(const LoadTrace& trace, ScalingRule& rule, std::uint64_t seed) {
  SimulationResult result;
  result.rule = rule.name();
  Ledger ledger(trace.autoscaling.targets, trace.seconds());
  Arrivals arrivals(trace, seed);
  Fleet fleet(trace, ledger, seed);
  Turns turns;
  std::int32_t desired = trace.start_replicas;
  for (int second = 0; second < static_cast<int>(trace.seconds()); ++second) {
    for (const SimulatedRequest& request : arrivals.of(second)) {
      ledger.arrived(request.arrival);
      fleet.route(request);
    }
    fleet.advance(second + 1);
    result.replica_hours += fleet.size() / 3600.0;
    const std::int32_t wanted =
        rule.decide(fleet.signals(), TimePoint(std::chrono::hours(1)) + std::chrono::seconds(second));
    turns.change(second, wanted - desired);
    desired = wanted;
    fleet.scale(desired);
    result.most_replicas = std::max(result.most_replicas, desired);
    if (second % 60 == 59) result.replicas.push_back(desired);
  }
  ledger.fill(result);
  result.direction_changes = turns.all();
  result.most_changes_in_ten_minutes = turns.most_within(600);
  return result;
}

std::vector<SimulationResult> simulate_all(const LoadTrace& trace, std::uint64_t seed) {
  std::vector<SimulationResult> results;
  for (const auto& rule :
       {millrace_rule(trace.autoscaling), queue_rule(trace.autoscaling), hpa_rule(trace.autoscaling)}) {
    results.push_back(simulate(trace, *rule, seed));
  }
  return results;
}

std::string format_simulation(const LoadTrace& trace, const std::vector<SimulationResult>& results) {
  const auto text = [](const char* format, auto... values) {
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, format, values...);
    return std::string(buffer);
  };
  std::vector<Row> rows{{"RULE", "MINUTES IN SLO", "REQUESTS IN TIME", "REPLICA-HOURS", "MOST", "TURNS"}};
  for (const SimulationResult& result : results) {
    const double in_time = result.requests == 0 ? 1.0 : static_cast<double>(result.requests_in_time) / result.requests;
    rows.push_back({result.rule,
                    text("%d of %d, %.1f %%", result.minutes_held, result.minutes, 100 * result.attainment()),
                    text("%.2f %%", 100 * in_time), text("%.2f", result.replica_hours),
                    std::to_string(result.most_replicas), std::to_string(result.direction_changes)});
  }
  std::vector<Row> timeline{{"MINUTE", "REQUESTS/S"}};
  for (const SimulationResult& result : results) timeline.front().push_back(result.rule);
  const std::size_t minutes = results.front().replicas.size();
  const std::size_t step = std::max<std::size_t>(1, minutes / 24);
  for (std::size_t minute = 0; minute < minutes; minute += step) {
    Row row{std::to_string(minute), text("%.2f", trace.at(60.0 * static_cast<double>(minute)).requests_per_second)};
    for (const SimulationResult& result : results) row.push_back(std::to_string(result.replicas[minute]));
    timeline.push_back(std::move(row));
  }
  return "Replicas\n" + format_table(timeline) + "\n" + format_table(rows);
}

}  // namespace millrace::cli
