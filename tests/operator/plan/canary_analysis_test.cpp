// The comparison of two revisions, against histograms with known answers and against simulated traffic.
#include "operator/plan/canary_analysis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace millrace::controller {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kBuckets = 71;  // ten to a decade from 100 us

std::size_t bucket_of(double seconds) {
  const double position = 10 * std::log10(std::max(seconds, 1e-4) / 1e-4);
  return std::min(static_cast<std::size_t>(position), kBuckets - 1);
}

RevisionSamples empty() {
  RevisionSamples samples;
  samples.first_token.resize(kBuckets);
  samples.inter_token.resize(kBuckets);
  return samples;
}

// How the requests of one revision come out. Load and neighbours make groups and moments differ, as they do in life.
struct Traffic {
  double first_token = 0.3;  // seconds, median
  double inter_token = 0.03;
  double failing = 0.001;
  double slow_tail = 0;  // share of requests whose first token takes ten times as long
};

class Revision {
 public:
  Revision(const Traffic& traffic, int groups, std::mt19937& random) : traffic_(traffic), random_(random) {
    std::normal_distribution<double> differs(0, 0.03);
    for (int i = 0; i < groups; ++i) group_.push_back(differs(random_));
  }

  // `load`: of this moment, the same for both revisions.
  void serve(int requests, double load, RevisionSamples& into) {
    std::normal_distribution<double> spread(0, 0.5);
    std::normal_distribution<double> jitter(0, 0.15);
    std::uniform_real_distribution<double> chance(0, 1);
    for (int i = 0; i < requests; ++i) {
      const double group = group_[static_cast<std::size_t>(random_() % group_.size())];
      ++into.requests;
      if (chance(random_) < traffic_.failing) {
        ++into.failed;
        continue;
      }
      const double tail = chance(random_) < traffic_.slow_tail ? 10 : 1;
      ++into.first_token[bucket_of(tail * traffic_.first_token * std::exp(load + group + spread(random_)))];
      const double pace = traffic_.inter_token * std::exp(load / 2 + group + jitter(random_));  // of this request
      for (int token = 0; token < 40; ++token) ++into.inter_token[bucket_of(pace * std::exp(jitter(random_) / 3))];
    }
  }

 private:
  const Traffic traffic_;
  std::mt19937& random_;
  std::vector<double> group_;
};

constexpr int kLooks = 61;

// A canary of one group beside three stable ones, looked at every five seconds. Returns what spoke against it.
std::string simulate(std::uint32_t seed, const Traffic& update, const CanaryTolerances& tolerances = {}) {
  std::mt19937 random(seed);
  Revision stable_groups({}, 3, random);
  Revision update_groups(update, 1, random);
  CanarySamples samples{empty(), empty()};
  std::normal_distribution<double> change(0, 0.2);
  double load = 0;
  for (int look = 0; look < kLooks; ++look) {
    load = 0.8 * load + change(random);
    stable_groups.serve(15, load, samples.stable);
    update_groups.serve(5, load, samples.update);
    const std::string found = regression(samples, tolerances, kLooks);
    if (!found.empty()) return found;
  }
  return "";
}

int found_in(int runs, const Traffic& update, const std::string& part) {
  int found = 0;
  for (int seed = 0; seed < runs; ++seed) {
    found += simulate(static_cast<std::uint32_t>(seed), update).find(part) != std::string::npos ? 1 : 0;
  }
  return found;
}

TEST(CanaryAnalysis, RollsBackNoneOfTwoHundredCleanCanaries) {
  for (std::uint32_t seed = 1000; seed < 1200; ++seed) EXPECT_EQ(simulate(seed, {}), "") << "seed " << seed;
}

TEST(CanaryAnalysis, RollsBackNoneThatAreSlowerWithinTheTolerance) {
  Traffic slower;
  slower.first_token *= 1.15;
  slower.inter_token *= 1.15;
  for (std::uint32_t seed = 2000; seed < 2100; ++seed) EXPECT_EQ(simulate(seed, slower), "") << "seed " << seed;
}

TEST(CanaryAnalysis, FindsASlowerFirstToken) {
  Traffic slower;
  slower.first_token *= 2;
  EXPECT_GE(found_in(40, slower, "time to first token"), 39);
}

TEST(CanaryAnalysis, FindsSlowerTokens) {
  Traffic slower;
  slower.inter_token *= 1.7;
  EXPECT_GE(found_in(40, slower, "time between tokens"), 39);
}

TEST(CanaryAnalysis, FindsAFewVerySlowRequests) {
  Traffic stuck;
  stuck.slow_tail = 0.2;
  EXPECT_GE(found_in(40, stuck, "very slow cases"), 39);
}

TEST(CanaryAnalysis, FindsFailingRequests) {
  Traffic failing;
  failing.failing = 0.2;
  EXPECT_GE(found_in(40, failing, "of its requests fail"), 39);
}

TEST(CanaryAnalysis, TakesLatenciesAtTheEdgeOfABucketForEqual) {
  CanarySamples samples{empty(), empty()};
  samples.stable.first_token[20] = 10'000;  // all just below the bound
  samples.update.first_token[21] = 10'000;  // all just above it
  EXPECT_EQ(regression(samples, {}, kLooks), "");
  samples.update.first_token[21] = 0;
  samples.update.first_token[22] = 10'000;
  EXPECT_THAT(regression(samples, {}, kLooks), HasSubstr("1.58 times"));
}

TEST(CanaryAnalysis, ConcludesNothingFromAHandfulOfRequests) {
  CanarySamples samples{empty(), empty()};
  samples.stable.first_token[20] = 1000;
  samples.update.first_token[40] = 5;
  samples.stable.requests = 1000;
  samples.update.requests = 5;
  samples.update.failed = 5;
  EXPECT_EQ(regression(samples, {}, kLooks), "");
}

TEST(CanaryAnalysis, SpeaksWithNumbers) {
  CanarySamples samples{empty(), empty()};
  samples.stable.requests = 1000;
  samples.update.requests = 200;
  samples.update.failed = 50;
  EXPECT_EQ(regression(samples, {}, kLooks),
            "25.0 % of its requests fail, of the stable revision 0.0 % (tolerated: 1 points more)");
}

TEST(CanaryAnalysis, RoundsAToleranceUpToWholeBuckets) {
  EXPECT_EQ(tolerated_buckets(0), 0);
  EXPECT_EQ(tolerated_buckets(20), 1);
  EXPECT_EQ(tolerated_buckets(26), 2);
  EXPECT_EQ(tolerated_buckets(100), 4);
  EXPECT_EQ(tolerated_buckets(900), 10);
}

TEST(CanaryAnalysis, AsksForMoreEvidenceTheOftenerItLooks) {
  EXPECT_NEAR(alarm_limit(1), 3.54, 0.01);  // the normal quantile of 1 - 0.0002
  EXPECT_GT(alarm_limit(100), alarm_limit(10));
}

TEST(CanaryAnalysis, AgreesWithTheTableOfMannAndWhitneyForTwoSmallSamples) {
  // 20 against 20 without overlap: U = 400 of 400, mean 200, standard deviation sqrt(20 * 20 * 41 / 12) = 36.97.
  LatencyCounts low(40, 0);
  LatencyCounts high(40, 0);
  for (std::size_t i = 0; i < 20; ++i) low[i] = high[i + 20] = 1;
  EXPECT_NEAR(slower_by_rank(low, high, 0, 1000), 200 / 36.97, 0.01);
  EXPECT_NEAR(slower_by_rank(high, low, 0, 1000), -200 / 36.97, 0.01);
}

TEST(CanaryAnalysis, CountsWhatIsMissingOfTheRevisionWithFewerRequests) {
  CanarySamples samples;
  samples.stable.requests = 500;
  samples.update.requests = 30;
  EXPECT_EQ(missing_samples(samples, 100), 70U);
  EXPECT_EQ(missing_samples(samples, 0), 0U);
}

}  // namespace
}  // namespace millrace::controller
