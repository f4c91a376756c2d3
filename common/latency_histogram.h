// Latencies as counts in fixed buckets, ten to a decade from 100 us to 1000 s, so that the difference of two readings
// of the same process is the histogram of what happened in between. The bounds are part of the admin API.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>

namespace millrace::common {

// A plain value; not synchronised.
class LatencyHistogram {
 public:
  static constexpr std::size_t kBuckets = 71;  // bucket i ends at bound(i); the last takes everything above

  static double bound(std::size_t bucket);  // seconds; of the last bucket: the end of the scale, 1000

  // Negative and NaN durations count as 0.
  void observe(double seconds, std::uint64_t times = 1);
  void add(const LatencyHistogram& other);

  const std::array<std::uint64_t, kBuckets>& counts() const { return counts_; }
  std::uint64_t total() const;
  // Seconds, interpolated within the bucket. Empty without samples. `quantile` in 0..1.
  std::optional<double> quantile(double quantile) const;
  // From the middles of the buckets, so within 12 % of the truth. Empty without samples.
  std::optional<double> mean() const;
  // What was counted since `earlier`; empty when a count shrank, that is, when the process began anew.
  std::optional<LatencyHistogram> since(const LatencyHistogram& earlier) const;

  bool operator==(const LatencyHistogram&) const = default;

  // An array of kBuckets counts. Reading throws Error{kInvalidArgument}.
  friend void to_json(nlohmann::json& json, const LatencyHistogram& value);
  friend void from_json(const nlohmann::json& json, LatencyHistogram& value);

 private:
  std::array<std::uint64_t, kBuckets> counts_{};
};

}  // namespace millrace::common
