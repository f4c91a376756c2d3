#include "common/agent_load.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/json_fields.h"

namespace millrace::common {
namespace {

// JSON writes NaN as null.
double read_usage(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  const double value = found != json.end() && found->is_number() ? found->get<double>() : -1.0;
  return std::isfinite(value) && value >= 0 ? value : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

void to_json(nlohmann::json& json, const AgentLoad& value) {
  json = {{"queue", value.queue},
          {"running", value.running},
          {"kv_usage", value.kv_usage},
          {"state_usage", value.state_usage},
          {"arrivals", value.arrivals},
          {"finished", value.finished},
          {"failed", value.failed},
          {"first_token", value.first_token},
          {"inter_token", value.inter_token}};
}

void from_json(const nlohmann::json& json, AgentLoad& value) {
  AgentLoad read;
  std::int64_t arrivals = 0;
  std::int64_t finished = 0;
  std::int64_t failed = 0;
  JsonFields(json, "load")
      .required("queue")
      .read("queue", read.queue, 0)
      .required("running")
      .read("running", read.running, 0)
      .required("arrivals")
      .read("arrivals", arrivals, 0)
      .read("finished", finished, 0)
      .read("failed", failed, 0)
      .required("first_token")
      .required("inter_token");
  read.arrivals = static_cast<std::uint64_t>(arrivals);
  read.finished = static_cast<std::uint64_t>(finished);
  read.failed = static_cast<std::uint64_t>(failed);
  read.kv_usage = read_usage(json, "kv_usage");
  read.state_usage = read_usage(json, "state_usage");
  read.first_token = json.at("first_token").get<LatencyHistogram>();
  read.inter_token = json.at("inter_token").get<LatencyHistogram>();
  value = read;
}

}  // namespace millrace::common
