// What a HorizontalPodAutoscaler's `behavior` does to a wish: stabilisation windows, then step caps. Pure values.
#pragma once

#include <cstdint>
#include <deque>

#include "operator/api/autoscaling_spec.h"
#include "operator/plan/group.h"

namespace millrace::controller {

// Wishes and changes for as long as the longest window or period looks back.
struct ScalingHistory {
  struct Wish {
    TimePoint at;
    std::int32_t replicas = 0;
  };
  struct Change {
    TimePoint at;
    std::int32_t by = 0;  // negative: fewer
  };
  std::deque<Wish> wishes;
  std::deque<Change> changes;

  void wished(TimePoint at, std::int32_t replicas);
  void changed(TimePoint at, std::int32_t by);
  void forget_before(TimePoint time);
};

// How long wishes and changes are needed.
std::chrono::seconds longest_look_back(const AutoscalingSpec& spec);

// Of the wishes within the windows: the least one that asks for more, or the greatest that asks for less.
std::int32_t stabilised(const AutoscalingSpec& spec, const ScalingHistory& history, std::int32_t current,
                        TimePoint now);

// As near to `wanted` as the policies let `current` go now.
std::int32_t capped(const AutoscalingSpec& spec, const ScalingHistory& history, std::int32_t current,
                    std::int32_t wanted, TimePoint now);

}  // namespace millrace::controller
