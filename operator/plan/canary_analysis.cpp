#include "operator/plan/canary_analysis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace millrace::controller {
namespace {

constexpr int kBucketsPerDecade = 10;
constexpr int kTests = 5;              // two for each latency, one for errors
constexpr double kTail = 0.05;         // share beyond the percentile that is looked at
constexpr double kTailMargin = 0.02;   // and how much larger it may be
constexpr std::uint64_t kFewest = 20;  // samples of each side for which the approximations hold

double share(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

// Upper quantile of the normal distribution by bisection of erfc.
double normal_quantile_above(double probability) {
  double low = 0;
  double high = 40;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(middle / std::sqrt(2.0)) > probability ? low : high) = middle;
  }
  return high;
}

// Shifts `stable` up, so that what is left to see is more than the tolerance.
LatencyCounts shifted(const LatencyCounts& counts, int buckets) {
  LatencyCounts result(counts.size(), 0);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    result[std::min(i + static_cast<std::size_t>(buckets), counts.size() - 1)] += counts[i];
  }
  return result;
}

bool too_few(const LatencyCounts& a, const LatencyCounts& b) {
  return a.size() != b.size() || total(a) < kFewest || total(b) < kFewest;
}

std::string text(const char* format, double first, double second) {
  std::array<char, 160> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, first, second);
  return buffer.data();
}

// How far the median has moved, as a factor; from whole buckets.
double median_ratio(const LatencyCounts& stable, const LatencyCounts& update) {
  const auto median = [](const LatencyCounts& counts) {
    const double half = static_cast<double>(total(counts)) / 2;
    double below = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const auto here = static_cast<double>(counts[i]);
      if (here > 0 && below + here >= half) return static_cast<double>(i) + (half - below) / here;
      below += here;
    }
    return 0.0;
  };
  return std::pow(10.0, (median(update) - median(stable)) / kBucketsPerDecade);
}

std::string latency_regression(const char* name, const LatencyCounts& stable, const LatencyCounts& update,
                               std::int32_t percent, std::uint64_t most_samples, double limit) {
  const int buckets = tolerated_buckets(percent);
  const std::string tolerated = " (tolerated: " + std::to_string(percent) + " %)";
  if (slower_by_rank(stable, update, buckets, most_samples) > limit) {
    return std::string(name) +
           text(" is about %.2f times that of the stable revision", median_ratio(stable, update), 0) + tolerated;
  }
  if (slower_in_tail(stable, update, buckets, most_samples) > limit) {
    return std::string(name) + " has more very slow cases than the stable revision" + tolerated;
  }
  return "";
}

}  // namespace

std::uint64_t total(const LatencyCounts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

int tolerated_buckets(std::int32_t percent) {
  return static_cast<int>(std::ceil(kBucketsPerDecade * std::log10(1 + percent / 100.0) - 1e-9));
}

double alarm_limit(std::int64_t looks) {
  return normal_quantile_above(kFalseAlarm / kTests / static_cast<double>(std::max<std::int64_t>(looks, 1)));
}

double slower_by_rank(const LatencyCounts& stable, const LatencyCounts& update, int tolerated_buckets,
                      std::uint64_t most_samples) {
  if (too_few(stable, update)) return 0;
  const LatencyCounts base = shifted(stable, tolerated_buckets);
  const auto all_base = static_cast<double>(total(base));
  const auto all_update = static_cast<double>(total(update));
  double below = 0;   // share of base in earlier buckets
  double slower = 0;  // probability that one of update is slower than one of base; ties count half
  double ties = 0;
  const auto m = std::min(all_base, static_cast<double>(most_samples));
  const auto n = std::min(all_update, static_cast<double>(most_samples));
  for (std::size_t i = 0; i < base.size(); ++i) {
    const double here = static_cast<double>(base[i]) / all_base;
    const double mine = static_cast<double>(update[i]) / all_update;
    slower += mine * (below + here / 2);
    below += here;
    const double tied = share(here * m + mine * n, m + n);
    ties += tied * tied * tied;
  }
  const double variance = (m + n + 1) / (12 * m * n) * std::max(1 - ties, 1e-9);
  return (slower - 0.5) / std::sqrt(variance);
}

double slower_in_tail(const LatencyCounts& stable, const LatencyCounts& update, int tolerated_buckets,
                      std::uint64_t most_samples) {
  if (too_few(stable, update)) return 0;
  const LatencyCounts base = shifted(stable, tolerated_buckets);
  const auto all_base = static_cast<double>(total(base));
  const auto all_update = static_cast<double>(total(update));
  double beyond_base = all_base;
  double beyond_update = all_update;
  for (std::size_t i = 0; i < base.size() && beyond_base > kTail * all_base; ++i) {
    beyond_base -= static_cast<double>(base[i]);
    beyond_update -= static_cast<double>(update[i]);
  }
  const auto scaled = [&](double part, double all) {
    const double most = std::min(all, static_cast<double>(most_samples));
    return std::pair(static_cast<std::uint64_t>(part / all * most), static_cast<std::uint64_t>(most));
  };
  const auto [base_part, base_all] = scaled(beyond_base, all_base);
  const auto [update_part, update_all] = scaled(beyond_update, all_update);
  return larger_share(base_part, base_all, update_part, update_all, kTailMargin);
}

double larger_share(std::uint64_t stable, std::uint64_t of_stable, std::uint64_t update, std::uint64_t of_update,
                    double tolerance) {
  if (of_stable < kFewest || of_update < kFewest) return 0;
  // Two more of each kind keep the variance honest for shares near 0 (Agresti and Caffo 2000: one of each per sample).
  const auto estimate = [](std::uint64_t part, std::uint64_t whole) {
    return (static_cast<double>(part) + 1) / (static_cast<double>(whole) + 2);
  };
  const double base = estimate(stable, of_stable);
  const double mine = estimate(update, of_update);
  const double variance = base * (1 - base) / (static_cast<double>(of_stable) + 2) +
                          mine * (1 - mine) / (static_cast<double>(of_update) + 2);
  return (mine - base - tolerance) / std::sqrt(variance);
}

std::string regression(const CanarySamples& samples, const CanaryTolerances& tolerances, std::int64_t looks) {
  const double limit = alarm_limit(looks);
  const RevisionSamples& stable = samples.stable;
  const RevisionSamples& update = samples.update;
  const double errors = larger_share(stable.failed, stable.requests, update.failed, update.requests,
                                     static_cast<double>(tolerances.error_percent) / 100);
  if (errors > limit) {
    const auto percent = [](const RevisionSamples& of) {
      return 100 * share(static_cast<double>(of.failed), static_cast<double>(of.requests));
    };
    return text("%.1f %% of its requests fail, of the stable revision %.1f %%", percent(update), percent(stable)) +
           " (tolerated: " + std::to_string(tolerances.error_percent) + " points more)";
  }
  const std::string first = latency_regression("its time to first token", stable.first_token, update.first_token,
                                               tolerances.ttft_percent, UINT64_MAX, limit);
  if (!first.empty()) return first;
  const std::uint64_t requests = std::min(total(stable.first_token), total(update.first_token));
  return latency_regression("its time between tokens", stable.inter_token, update.inter_token,
                            tolerances.inter_token_percent, requests, limit);
}

std::uint64_t missing_samples(const CanarySamples& samples, std::int32_t min_samples) {
  const std::uint64_t fewer = std::min(samples.stable.requests, samples.update.requests);
  const auto wanted = static_cast<std::uint64_t>(std::max(min_samples, 0));
  return fewer >= wanted ? 0 : wanted - fewer;
}

}  // namespace millrace::controller
