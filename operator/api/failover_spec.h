// spec.failover: what stands in for a zone that fails, and when its groups go back.
#pragma once

#include <cstdint>

#include "operator/api/field_reader.h"

namespace millrace::controller {

enum class Reserve {
  kSurgeOnFailure,  // groups of a failed zone are made anew wherever there is room
  kSpareZone,       // one zone stays empty while all others are well, and takes the groups of one that fails
  kNone,            // groups of a failed zone wait for it
};

struct FailoverSpec {
  Reserve reserve = Reserve::kSurgeOnFailure;
  std::int32_t failback_after_seconds = 300;  // of calm, in the zone and in all groups
};

void read_failover(FieldReader& fields, FailoverSpec& failover);

}  // namespace millrace::controller
