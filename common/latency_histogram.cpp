#include "common/latency_histogram.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "common/error.h"
#include "common/json_fields.h"

namespace millrace::common {
namespace {

using Bounds = std::array<double, LatencyHistogram::kBuckets>;

const Bounds& bounds() {
  static const Bounds kBounds = [] {
    Bounds result{};
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = 1e-4 * std::pow(10.0, static_cast<double>(i) / 10);
    return result;
  }();
  return kBounds;
}

}  // namespace

double LatencyHistogram::bound(std::size_t bucket) {
  return bounds()[bucket];
}

void LatencyHistogram::observe(double seconds, std::uint64_t times) {
  const double value = seconds > 0 ? seconds : 0.0;
  const auto found = std::lower_bound(bounds().begin(), bounds().end(), value);
  const auto bucket = std::min<std::size_t>(static_cast<std::size_t>(found - bounds().begin()), kBuckets - 1);
  counts_[bucket] += times;
}

void LatencyHistogram::add(const LatencyHistogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
}

std::uint64_t LatencyHistogram::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

std::optional<double> LatencyHistogram::quantile(double quantile) const {
  const auto all = static_cast<double>(total());
  if (all == 0) return std::nullopt;
  const double wanted = std::clamp(quantile, 0.0, 1.0) * all;
  double below = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    const auto here = static_cast<double>(counts_[i]);
    if (here > 0 && below + here >= wanted) {
      const double start = i == 0 ? 0.0 : bounds()[i - 1];
      return start + (bounds()[i] - start) * (wanted - below) / here;
    }
    below += here;
  }
  return bounds().back();
}

std::optional<double> LatencyHistogram::mean() const {
  const auto all = static_cast<double>(total());
  if (all == 0) return std::nullopt;
  double sum = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    const double start = i == 0 ? 0.0 : bounds()[i - 1];
    sum += static_cast<double>(counts_[i]) * (start + bounds()[i]) / 2;
  }
  return sum / all;
}

std::optional<LatencyHistogram> LatencyHistogram::since(const LatencyHistogram& earlier) const {
  LatencyHistogram result;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    if (counts_[i] < earlier.counts_[i]) return std::nullopt;
    result.counts_[i] = counts_[i] - earlier.counts_[i];
  }
  return result;
}

void to_json(nlohmann::json& json, const LatencyHistogram& value) {
  json = value.counts_;
}

void from_json(const nlohmann::json& json, LatencyHistogram& value) {
  if (!json.is_array() || json.size() != LatencyHistogram::kBuckets) {
    throw Error(Code::kInvalidArgument, "a histogram is an array of " + std::to_string(LatencyHistogram::kBuckets) +
                                            " counts, one for each bucket");
  }
  for (std::size_t i = 0; i < LatencyHistogram::kBuckets; ++i) {
    value.counts_[i] = static_cast<std::uint64_t>(
        json_integer(json[i], "histogram[" + std::to_string(i) + "]", 0, std::numeric_limits<std::int64_t>::max()));
  }
}

}  // namespace millrace::common
