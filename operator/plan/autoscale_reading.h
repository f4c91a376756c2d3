// From what agents said to what the autoscaler reckons with: rates, latencies and uses of the groups that count, with
// the history brought up to date. Pure.
#pragma once

#include "operator/plan/autoscale.h"

namespace millrace::controller {

struct AutoscaleReading {
  AutoscaleInputs inputs;
  std::int32_t warm = 0;   // groups whose latencies and use count
  std::int32_t fresh = 0;  // serving groups whose load is known
  double queue = 0;        // waiting, in all fresh groups
};

AutoscaleReading read_signals(const AutoscalingSpec& spec, const AutoscaleSignals& signals, AutoscaleHistory& history,
                              TimePoint now);

}  // namespace millrace::controller
