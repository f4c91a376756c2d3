#include "tests/operator/plan/experts_exact.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace millrace::controller::test {
namespace {

class PlacementSearch {
 public:
  PlacementSearch(const ExpertShape& shape, const std::vector<double>& load)
      : shape_(shape), load_(load), mean_(std::accumulate(load.begin(), load.end(), 0.0) / shape.ranks) {}

  double run() {
    std::vector<int> replicas(load_.size(), 1);
    distribute(replicas, 0, shape_.slots() - shape_.experts);
    return best_;
  }

 private:
  // Every way to give the spare slots to experts.
  void distribute(std::vector<int>& replicas, std::size_t expert, int spare) {
    if (expert + 1 == load_.size()) {
      replicas[expert] += spare;
      pack(replicas);
      replicas[expert] -= spare;
      return;
    }
    for (int more = 0; more <= spare; ++more) {
      replicas[expert] += more;
      distribute(replicas, expert + 1, spare - more);
      replicas[expert] -= more;
    }
  }

  void pack(const std::vector<int>& replicas) {
    pieces_.clear();
    for (std::size_t expert = 0; expert < load_.size(); ++expert) {
      pieces_.insert(pieces_.end(), static_cast<std::size_t>(replicas[expert]), load_[expert] / replicas[expert]);
    }
    std::sort(pieces_.begin(), pieces_.end(), std::greater<>());
    if (std::max(pieces_.front(), mean_) >= best_) return;
    work_.assign(static_cast<std::size_t>(shape_.ranks), 0.0);
    used_.assign(static_cast<std::size_t>(shape_.ranks), 0);
    place(0);
  }

  void place(std::size_t piece) {
    if (piece == pieces_.size()) {
      best_ = *std::max_element(work_.begin(), work_.end());
      return;
    }
    for (std::size_t rank = 0; rank < work_.size(); ++rank) {
      if (used_[rank] == shape_.slots_per_rank || work_[rank] + pieces_[piece] >= best_) continue;
      bool seen = false;  // a rank in the same state was tried
      for (std::size_t other = 0; other < rank; ++other) {
        seen = seen || (work_[other] == work_[rank] && used_[other] == used_[rank]);
      }
      if (seen) continue;
      work_[rank] += pieces_[piece];
      ++used_[rank];
      place(piece + 1);
      --used_[rank];
      work_[rank] -= pieces_[piece];
    }
  }

  const ExpertShape& shape_;
  const std::vector<double>& load_;
  const double mean_;
  double best_ = std::numeric_limits<double>::max();
  std::vector<double> pieces_;
  std::vector<double> work_;
  std::vector<int> used_;
};

}  // namespace

double exact_peak(const ExpertShape& shape, const std::vector<double>& load) {
  return PlacementSearch(shape, load).run();
}

}  // namespace millrace::controller::test
