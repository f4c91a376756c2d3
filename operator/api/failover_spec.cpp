#include "operator/api/failover_spec.h"

namespace millrace::controller {

void read_failover(FieldReader& fields, FailoverSpec& failover) {
  std::string reserve = "SurgeOnFailure";
  fields.read("reserve", reserve, 32);
  if (reserve == "SpareZone") {
    failover.reserve = Reserve::kSpareZone;
  } else if (reserve == "None") {
    failover.reserve = Reserve::kNone;
  } else if (reserve != "SurgeOnFailure") {
    fields.problem("reserve", "is \"" + reserve + "\": use SurgeOnFailure, SpareZone or None");
  }
  fields.read("failbackAfterSeconds", failover.failback_after_seconds, 10, 86400);
}

}  // namespace millrace::controller
