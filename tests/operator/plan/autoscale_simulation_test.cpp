// The planner against simulated replicas: the promises that docs/autoscaling.md makes with numbers.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "cli/simulate.h"
#include "tests/paths.h"

namespace millrace::cli {
namespace {

constexpr const char* kTraces[] = {"step", "diurnal", "spike", "on-off", "slow-ramp"};

LoadTrace trace_named(const std::string& name) {
  return read_trace(std::filesystem::path(MILLRACE_SOURCE_DIR) / "examples" / "traces" / (name + ".csv"));
}

LoadTrace constant_load(double rate, int start_replicas) {
  std::ostringstream text;
  text << "# start_replicas: " << start_replicas << "\nsecond,requests_per_second\n0," << rate << "\n5400," << rate
       << "\n";
  return parse_trace(text.str(), "constant");
}

// The one that holds the targets more often; of two equals the cheaper.
const SimulationResult& better(const SimulationResult& a, const SimulationResult& b) {
  if (a.attainment() != b.attainment()) return a.attainment() > b.attainment() ? a : b;
  return a.replica_hours <= b.replica_hours ? a : b;
}

int traces_won(std::uint64_t seed) {
  int won = 0;
  for (const char* name : kTraces) {
    const LoadTrace trace = trace_named(name);
    const std::vector<SimulationResult> results = simulate_all(trace, seed);
    const SimulationResult& ours = results[0];
    const SimulationResult& other = better(results[1], results[2]);
    const bool wins = ours.attainment() >= other.attainment() && ours.replica_hours <= 0.9 * other.replica_hours;
    won += wins ? 1 : 0;
    std::printf("%-10s seed %d: %s %.1f %% %.1f h, %s %.1f %% %.1f h%s\n", name, static_cast<int>(seed),
                ours.rule.c_str(), 100 * ours.attainment(), ours.replica_hours, other.rule.c_str(),
                100 * other.attainment(), other.replica_hours, wins ? "" : "  (not won)");
  }
  return won;
}

class OnTraces : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(OnTraces, HoldsTheTargetsAtLeastAsOftenWithAtMostNineTenthsOfTheReplicaHoursOnFourOfFive) {
  EXPECT_GE(traces_won(GetParam()), 4);
}

INSTANTIATE_TEST_SUITE_P(Seeds, OnTraces, ::testing::Values(1, 2, 3));

class AtConstantLoad : public ::testing::TestWithParam<double> {};

TEST_P(AtConstantLoad, ChangesDirectionAtMostOnceInTenMinutes) {
  for (const std::uint64_t seed : {4, 6, 11, 16}) {
    for (const int start : {1, 4, 8}) {
      const LoadTrace trace = constant_load(GetParam(), start);
      const auto rule = millrace_rule(trace.autoscaling);
      const SimulationResult result = simulate(trace, *rule, seed);
      EXPECT_LE(result.most_changes_in_ten_minutes, 1)
          << GetParam() << " requests/s from " << start << ", seed " << seed;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rates, AtConstantLoad, ::testing::Values(0.0, 0.1, 0.7, 2.0, 2.4, 2.7, 4.9, 7.2, 12.0));

TEST(Simulation, GivesTheSameResultTwice) {
  const LoadTrace trace = trace_named("spike");
  const SimulationResult first = simulate(trace, *millrace_rule(trace.autoscaling), 5);
  const SimulationResult second = simulate(trace, *millrace_rule(trace.autoscaling), 5);
  EXPECT_EQ(first.replicas, second.replicas);
  EXPECT_EQ(first.requests_in_time, second.requests_in_time);
  EXPECT_DOUBLE_EQ(first.replica_hours, second.replica_hours);
}

TEST(Simulation, AFourfoldStepIsDecidedOnWithinTwoSeconds) {
  const LoadTrace trace = parse_trace("# start_replicas: 4\nsecond,requests_per_second\n0,4\n900,16\n930,16\n", "step");
  const auto rule = millrace_rule(trace.autoscaling);
  struct Watch final : ScalingRule {
    ScalingRule& inner;
    int seconds = 0;
    int first_up_after_step = -1;
    explicit Watch(ScalingRule& rule) : inner(rule) {}
    std::string name() const override { return inner.name(); }
    std::int32_t decide(const controller::AutoscaleSignals& signals, controller::TimePoint now) override {
      const std::int32_t wanted = inner.decide(signals, now);
      ++seconds;
      if (seconds > 900 && first_up_after_step < 0 && wanted > signals.replicas) first_up_after_step = seconds - 900;
      return wanted;
    }
  } watch(*rule);
  simulate(trace, watch, 3);
  EXPECT_GT(watch.first_up_after_step, 0);
  EXPECT_LE(watch.first_up_after_step, 2) << "of simulated time";
}

TEST(Trace, ErrorsNameTheLine) {
  const auto fault = [](const std::string& text) {
    try {
      parse_trace(text, "t.csv");
    } catch (const std::exception& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(fault("second\n0\n1\n"), "t.csv line 1: the heading has no column requests_per_second");
  EXPECT_EQ(fault("second,requests_per_second\n0,x\n"),
            "t.csv line 2: requests_per_second is \"x\": use a number from 0 to 10000");
  EXPECT_EQ(fault("second,requests_per_second\n0,1\n0,2\n"),
            "t.csv line 3: second is not greater than in the row before");
  EXPECT_EQ(fault("# slots: 0\nsecond,requests_per_second\n"),
            "t.csv line 1: slots is \"0\": use a number from 1 to 4096");
}

}  // namespace
}  // namespace millrace::cli
