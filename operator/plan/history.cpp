#include "operator/plan/history.h"

#include <algorithm>
#include <tuple>

namespace millrace::controller {

const RevisionRecord* find_record(const std::vector<RevisionRecord>& records, const std::string& revision) {
  const auto found = std::find_if(records.begin(), records.end(),
                                  [&](const RevisionRecord& record) { return record.revision == revision; });
  return found == records.end() ? nullptr : &*found;
}

std::string stable_revision(const std::vector<RevisionRecord>& records) {
  const auto before = [](const RevisionRecord& a, const RevisionRecord& b) {
    return std::tuple(a.completed, a.number) < std::tuple(b.completed, b.number);  // an empty time comes first
  };
  const auto last = std::max_element(records.begin(), records.end(), before);
  return last == records.end() || !last->completed ? "" : last->revision;
}

HistoryPlan plan_history(const HistoryInput& input) {
  HistoryPlan plan;
  std::int64_t highest = 0;
  for (const RevisionRecord& record : input.records) highest = std::max(highest, record.number);
  const RevisionRecord* asked = find_record(input.records, input.asked);
  plan.create = asked == nullptr;
  const bool shared = asked != nullptr &&
                      std::any_of(input.records.begin(), input.records.end(),
                                  [&](const auto& other) { return &other != asked && other.number == asked->number; });
  plan.renumber = asked != nullptr && (asked->number < highest || shared);
  plan.number = plan.create || plan.renumber ? highest + 1 : asked->number;

  std::vector<const RevisionRecord*> unused;
  const std::string stable = stable_revision(input.records);
  for (const RevisionRecord& record : input.records) {
    const bool needed =
        record.revision == input.asked || record.revision == stable || input.in_use.contains(record.revision);
    if (!needed) unused.push_back(&record);
  }
  std::sort(unused.begin(), unused.end(),
            [](const RevisionRecord* a, const RevisionRecord* b) { return a->number < b->number; });
  const std::size_t limit = static_cast<std::size_t>(std::max(input.limit, 0));
  for (std::size_t i = 0; i + limit < unused.size(); ++i) plan.erase.push_back(unused[i]->revision);
  return plan;
}

}  // namespace millrace::controller
