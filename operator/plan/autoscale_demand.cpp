#include "operator/plan/autoscale_demand.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace millrace::controller {
namespace {

constexpr double kKept = 300;         // seconds on record
constexpr double kMean = 60;          // window of the mean
constexpr double kTrendWindow = 180;  // a rise is judged over this long
constexpr double kBin = 10;           // in bins of this many seconds
constexpr double kProof = 4.5;        // standard errors that a slope must exceed: it is asked every second
constexpr double kStraight = 2.0;     // a line leaves no more than this many times the scatter of chance
constexpr double kProofOfStep = 4.0;  // standard deviations by which a short window must exceed the mean
constexpr double kDiscount = 1.0;     // standard deviations that a proven step is discounted by

struct Line {
  double at_end = 0;   // value at the newest point
  double slope = 0;    // per second
  double error = 0;    // standard error of the slope
  double scatter = 0;  // variance about the line
};

// Least squares; `times` count back from the newest point, so are zero or negative.
Line fit_line(const std::vector<double>& times, const std::vector<double>& values) {
  const auto n = static_cast<double>(times.size());
  double st = 0, sv = 0, stt = 0, stv = 0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    st += times[i];
    sv += values[i];
    stt += times[i] * times[i];
    stv += times[i] * values[i];
  }
  const double spread = stt - st * st / n;
  Line line;
  line.slope = (stv - st * sv / n) / spread;
  line.at_end = (sv - line.slope * st) / n;
  double rest = 0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    rest += std::pow(values[i] - line.at_end - line.slope * times[i], 2);
  }
  line.scatter = rest / (n - 2);
  line.error = std::sqrt(line.scatter / spread);
  return line;
}

}  // namespace

void ArrivalRecord::add(TimePoint now, double seconds, double count) {
  if (!(seconds > 0)) return;
  entries_.push_back({now, seconds, count});
  while (now - entries_.front().at > std::chrono::duration<double>(kKept)) entries_.pop_front();
}

ArrivalRecord::Sum ArrivalRecord::sum(double window) const {
  Sum sum;
  for (auto entry = entries_.rbegin(); entry != entries_.rend() && sum.seconds < window; ++entry) {
    sum.seconds += entry->seconds;
    sum.count += entry->count;
  }
  return sum;
}

double ArrivalRecord::covered() const {
  return sum(kKept).seconds;
}

double ArrivalRecord::rate(double window) const {
  const Sum s = sum(window);
  return s.seconds > 0 ? s.count / s.seconds : 0;
}

double ArrivalRecord::lower_bound(double window, double z) const {
  const Sum s = sum(window);
  return s.seconds > 0 ? std::max(0.0, s.count - z * std::sqrt(s.count)) / s.seconds : 0;
}

double ArrivalRecord::sustained() const {
  double most = rate(kMean);
  for (const double window : {15.0, 5.0, 2.0}) {
    const bool proven = lower_bound(window, kProofOfStep) > rate(kMean);
    if (proven) most = std::max(most, lower_bound(window, kDiscount));
  }
  return most;
}

double ArrivalRecord::forecast(double horizon) const {
  const double now = sustained();
  std::vector<double> times;
  std::vector<double> values;
  double end = 0;  // seconds back from the newest entry
  Sum bin;
  for (auto entry = entries_.rbegin(); entry != entries_.rend() && end < kTrendWindow; ++entry) {
    bin.seconds += entry->seconds;
    bin.count += entry->count;
    if (bin.seconds < kBin) continue;
    times.push_back(-end - bin.seconds / 2);
    values.push_back(bin.count / bin.seconds);
    end += bin.seconds;
    bin = {};
  }
  if (times.size() < 6) return now;
  const Line line = fit_line(times, values);
  const double chance = rate(kTrendWindow) / kBin;  // variance of a bin's rate
  if (!(line.slope > kProof * line.error) || line.scatter > kStraight * chance) return now;
  return std::clamp(line.at_end + line.slope * horizon, now, 2 * now);
}

}  // namespace millrace::controller
