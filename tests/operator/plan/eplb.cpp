#include "tests/operator/plan/eplb.h"

#include <algorithm>
#include <numeric>

namespace millrace::controller::test {

ExpertRow eplb_row(const ExpertShape& shape, const std::vector<double>& load) {
  std::vector<int> replicas(load.size(), 1);
  std::vector<std::int32_t> slots(load.size());
  std::iota(slots.begin(), slots.end(), 0);
  const auto share = [&](std::int32_t expert) {
    return load[static_cast<std::size_t>(expert)] / replicas[static_cast<std::size_t>(expert)];
  };
  while (static_cast<std::int32_t>(slots.size()) < shape.slots()) {
    std::int32_t hottest = 0;
    for (std::int32_t expert = 1; expert < shape.experts; ++expert) {
      if (share(expert) > share(hottest)) hottest = expert;
    }
    ++replicas[static_cast<std::size_t>(hottest)];
    slots.push_back(hottest);
  }
  std::stable_sort(slots.begin(), slots.end(), [&](std::int32_t a, std::int32_t b) { return share(a) > share(b); });
  std::vector<double> work(static_cast<std::size_t>(shape.ranks), 0.0);
  std::vector<ExpertRow> ranks(work.size());
  for (const std::int32_t expert : slots) {
    std::size_t idlest = work.size();
    for (std::size_t rank = 0; rank < work.size(); ++rank) {
      if (static_cast<std::int32_t>(ranks[rank].size()) == shape.slots_per_rank) continue;
      if (idlest == work.size() || work[rank] < work[idlest]) idlest = rank;
    }
    work[idlest] += share(expert);
    ranks[idlest].push_back(expert);
  }
  ExpertRow row;
  for (const ExpertRow& rank : ranks) row.insert(row.end(), rank.begin(), rank.end());
  return row;
}

}  // namespace millrace::controller::test
