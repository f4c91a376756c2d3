#include "engine/model/json_object.h"

#include <unordered_set>
#include <vector>

#include "common/error.h"

namespace millrace::engine {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 8;

// Remembers the keys of the objects that are open and stops at the first fault.
class Checker {
 public:
  explicit Checker(const std::string& source) : source_(source) {}

  bool operator()(int depth, json::parse_event_t event, const json& parsed) {
    if (depth > kMaxDepth) fail("nests deeper than " + std::to_string(kMaxDepth) + " levels");
    const auto level = static_cast<std::size_t>(depth);
    if (event == json::parse_event_t::object_start) {
      open_.resize(level + 2);
      open_[level + 1].clear();
    }
    if (event == json::parse_event_t::key && !open_[level].insert(parsed.get<std::string>()).second) {
      fail("names the key " + parsed.dump(-1, ' ', true, json::error_handler_t::replace) + " twice");
    }
    return true;
  }

 private:
  [[noreturn]] void fail(const std::string& fault) const {
    throw common::Error(common::Code::kDataLoss, source_ + " " + fault);
  }

  std::string source_;
  std::vector<std::unordered_set<std::string>> open_;  // by depth of the object
};

}  // namespace

json parse_json_object(std::string_view text, const std::string& source) {
  json document;
  try {
    document = json::parse(text.begin(), text.end(), Checker(source));
  } catch (const json::parse_error& error) {
    throw common::Error(common::Code::kDataLoss, source + " is not valid JSON at byte " + std::to_string(error.byte));
  } catch (const json::exception&) {
    throw common::Error(common::Code::kDataLoss, source + " holds a number that is out of range");
  }
  if (!document.is_object()) throw common::Error(common::Code::kDataLoss, source + " is not a JSON object");
  return document;
}

}  // namespace millrace::engine
