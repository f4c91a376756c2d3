// How much work arrives: requests per second over windows, with what chance alone could explain taken off. Pure values.
#pragma once

#include <deque>

#include "operator/plan/group.h"

namespace millrace::controller {

// Arrivals of the last five minutes, counted about once a second.
class ArrivalRecord {
 public:
  // `count` requests came in the `seconds` before `now`.
  void add(TimePoint now, double seconds, double count);

  bool empty() const { return entries_.empty(); }
  double covered() const;  // seconds on record

  // Mean rate of the last `window` seconds, or of what is on record.
  double rate(double window) const;
  // A rate that the true one exceeds, up to a chance of about that of `z` standard deviations of a Poisson count.
  double lower_bound(double window, double z) const;

  // Rate that is needed now: the mean of a minute, or more where shorter windows prove more.
  double sustained() const;
  // `sustained()`, or what a proven linear rise leads to in `horizon` seconds; never more than twice as much.
  double forecast(double horizon) const;

 private:
  struct Entry {
    TimePoint at;
    double seconds;
    double count;
  };
  struct Sum {
    double seconds = 0;
    double count = 0;
  };
  Sum sum(double window) const;

  std::deque<Entry> entries_;
};

}  // namespace millrace::controller
