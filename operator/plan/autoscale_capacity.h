// How much one replica can take, learned from what warm groups do: the time of a token grows about linearly with the
// number of sequences that run together, and each of them holds a share of the caches. Old samples fade. Pure values.
#pragma once

#include <optional>

#include "operator/api/autoscaling_spec.h"

namespace millrace::controller {

// Some seconds of one warm group.
struct CapacitySample {
  double running = 0;    // mean sequences that ran
  double cache_use = 0;  // mean of the fuller cache, 0..1
  double queue = 0;      // mean waiting
  double itl_mean = 0;   // seconds between tokens; 0: none was made
  double itl_p95 = 0;
  double tokens = 0;    // made
  double requests = 0;  // whose first token was among them
};

struct ReplicaCapacity {
  double sequences = 0;            // that may run together
  double requests_per_second = 0;  // at which that many run
};

class CapacityModel {
 public:
  void observe(const CapacitySample& sample, double queue_target);
  // A target was missed in steady state while every replica took this many requests per second. Takes off a tenth at
  // most: the next miss takes off more.
  void breached(double requests_per_second, const AutoscalingTargets& targets);
  void fade(double seconds);  // time that has passed

  // Empty until enough was seen at different loads.
  std::optional<ReplicaCapacity> capacity(const AutoscalingTargets& targets) const;

 private:
  // Weighted least squares of y over x.
  struct Line {
    double n = 0, x = 0, xx = 0, y = 0, xy = 0;
    void add(double at, double value);
    void fade(double factor);
    double spread() const;  // variance of x over its mean square: 0 when it was always the same
    double slope() const;   // not negative
    double base() const;    // not negative
  };

  Line mean_;  // mean inter-token time over running
  Line p95_;
  double cache_use_ = 0, cache_running_ = 0;  // sums, for the share of a sequence
  double tokens_ = 0, requests_ = 0;
  double most_running_ = 0;  // seen, fading
  double full_at_ = 0;       // running while requests waited; 0: not seen
  double breach_rate_ = 0;   // requests per second and replica; 0: not seen
};

}  // namespace millrace::controller
