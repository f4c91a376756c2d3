// Compares what two revisions were measured at. Pure.
//
// Latencies are compared by their histograms. Buckets are a factor of 10^(1/10) wide, so a tolerance is rounded up to
// whole buckets: if the new revision is slower by no more than the tolerance, its latencies lie, bucket by bucket, no
// more than that many buckets above those of the stable one. Two tests look for the contrary:
//   - Mann-Whitney (Mann and Whitney 1947; variance with ties): more than half of the pairs are slower;
//   - a test of two shares: more of the requests lie beyond the stable revision's 95th percentile.
// Tokens of one request are not independent; inter-token times count as one sample per request.
//
// A canary is looked at many times. Each look and each test gets an equal part of kFalseAlarm (Bonferroni), so the
// chance that a harmless revision is rolled back stays below it, however often one looks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "operator/api/rollout_spec.h"

namespace millrace::controller {

inline constexpr double kFalseAlarm = 0.001;

// Counts by bucket; bucket i + 1 holds durations 10^(1/10) times as long as bucket i. Of any size, both of one size.
using LatencyCounts = std::vector<std::uint64_t>;

std::uint64_t total(const LatencyCounts& counts);

struct RevisionSamples {
  std::uint64_t requests = 0;
  std::uint64_t failed = 0;  // of those
  LatencyCounts first_token;
  LatencyCounts inter_token;
};

struct CanarySamples {
  RevisionSamples stable;
  RevisionSamples update;
};

// A test's outcome in standard deviations; above 0 speaks against the new revision.
double slower_by_rank(const LatencyCounts& stable, const LatencyCounts& update, int tolerated_buckets,
                      std::uint64_t most_samples);
double slower_in_tail(const LatencyCounts& stable, const LatencyCounts& update, int tolerated_buckets,
                      std::uint64_t most_samples);
double larger_share(std::uint64_t stable, std::uint64_t of_stable, std::uint64_t update, std::uint64_t of_update,
                    double tolerance);

int tolerated_buckets(std::int32_t percent);
// The limit on the outcomes above when `looks` looks are made.
double alarm_limit(std::int64_t looks);

// Empty: nothing speaks against the new revision so far. Else what does, in words with numbers. `looks`: how often this
// is asked in all.
std::string regression(const CanarySamples& samples, const CanaryTolerances& tolerances, std::int64_t looks);

// Requests that are still wanted before a conclusion, of the revision that has fewer.
std::uint64_t missing_samples(const CanarySamples& samples, std::int32_t min_samples);

}  // namespace millrace::controller
