#include "operator/api/experts_spec.h"

#include "operator/api/quantity.h"

namespace millrace::controller {

void read_experts(FieldReader& fields, std::int32_t expert_parallel, ExpertsSpec& experts) {
  std::string mode = "Auto";
  fields.read("mode", mode, 32);
  if (mode != "Auto" && mode != "Fixed") fields.problem("mode", "is \"" + mode + "\": use Auto or Fixed");
  experts.move = mode == "Auto";
  fields.read("redundantSlotsPerRank", experts.redundant_slots_per_rank, 0, 64);
  if (experts.redundant_slots_per_rank > 0 && expert_parallel == 1) {
    fields.problem("redundantSlotsPerRank",
                   "is " + std::to_string(experts.redundant_slots_per_rank) +
                       " but parallelism.expert is 1: replicas need more than one expert rank");
  }
  fields.read("intervalSeconds", experts.interval_seconds, 1, 3600);
  fields.read("minImprovement", experts.min_improvement_percent, 0, 100);
  if (const kube::Json* rate = fields.find("maxBytesPerSecond")) {
    const std::optional<double> bytes = quantity_of(*rate);
    if (bytes && *bytes >= 1 && *bytes < 9e18) {
      experts.max_bytes_per_second = static_cast<std::int64_t>(*bytes);
    } else {
      fields.problem("maxBytesPerSecond", "is " + rate->dump(-1, ' ', false, kube::Json::error_handler_t::replace) +
                                              ": use a quantity above 0 such as 64Mi or 2Gi");
    }
  }
}

}  // namespace millrace::controller
