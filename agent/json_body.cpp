#include "agent/json_body.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "agent/api_error.h"

namespace millrace::agent {
namespace {

using Json = nlohmann::ordered_json;

// An ordered object looks at all its keys at every insertion, so n keys cost n * n / 2 comparisons.
constexpr std::size_t kMaxKeyComparisons = 20'000'000;

class Bounds {
 public:
  bool operator()(int depth, Json::parse_event_t event, Json&) {
    if (depth > kMaxJsonDepth) {
      throw bad_request("", "the JSON body is nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
    }
    if (event == Json::parse_event_t::object_start) keys_.push_back(0);
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    if (event == Json::parse_event_t::key) {
      comparisons_ += keys_.back()++;
      if (comparisons_ > kMaxKeyComparisons) throw bad_request("", "the JSON body has objects with too many keys");
    }
    return true;
  }

 private:
  std::vector<std::size_t> keys_;
  std::size_t comparisons_ = 0;
};

}  // namespace

Json parse_json_body(std::string_view body) {
  Json json;
  try {
    Bounds bounds;
    json = Json::parse(
        body, [&bounds](int depth, Json::parse_event_t event, Json& parsed) { return bounds(depth, event, parsed); });
  } catch (const nlohmann::json::exception& error) {
    throw bad_request("", std::string("the body is not valid JSON: ") + error.what(), "invalid_json");
  }
  if (!json.is_object()) throw bad_request("", "the body is not a JSON object");
  return json;
}

}  // namespace millrace::agent
