#include "operator/plan/experts_search.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <span>

namespace millrace::controller {
namespace {

constexpr std::size_t kPartners = 4;  // least busy ranks that are tried as partners of the busiest
constexpr double kLeastGain = 1e-9;   // of the relief that is asked for
constexpr std::size_t kLanes = 4;     // exchanges that are weighed side by side

// What a unit of relief is worth, by the experts that have to be fetched for it.
constexpr double kNoFetch = 2.0;
constexpr double kOneFetch = 1.0;
constexpr double kTwoFetches = 0.5;

bool row_holds(const ExpertShape& shape, const ExpertRow& row, std::int32_t rank, std::int32_t expert) {
  const auto begin = row.begin() + std::ptrdiff_t{rank} * shape.slots_per_rank;
  return std::find(begin, begin + shape.slots_per_rank, expert) != begin + shape.slots_per_rank;
}

struct Improvement {
  std::int32_t slot = -1;  // none
  std::int32_t other = -1;
  double value = 0.0;  // relief of the busiest rank, by what its fetches cost
  bool local = false;  // between ranks of one node
  double peak = 0.0;   // of the two ranks
};

class Relief {
 public:
  Relief(ExpertLayer& layer, const ExpertRow& origin, double target)
      : layer_(layer),
        shape_(layer.shape()),
        target_(target),
        was_on_(static_cast<std::size_t>(shape_.ranks) * static_cast<std::size_t>(shape_.experts)),
        partners_(static_cast<std::size_t>(shape_.ranks)),
        shares_((static_cast<std::size_t>(shape_.slots_per_rank) + kLanes - 1) / kLanes * kLanes,
                std::numeric_limits<double>::infinity()),
        worth_{std::vector<double>(shares_.size(), 1.0), std::vector<double>(shares_.size(), 1.0)} {
    for (std::int32_t slot = 0; slot < shape_.slots(); ++slot) {
      was_on_[index(layer_.rank_of(slot), origin[static_cast<std::size_t>(slot)])] = 1;
    }
  }

  void run() {
    for (std::int32_t left = 4 * shape_.slots(); left > 0; --left) {
      busy_ = layer_.busiest();
      work_ = layer_.work(busy_);
      if (work_ <= target_) return;
      find_step(std::min(kPartners, partners_.size()));
      if (!found()) find_step(partners_.size());  // the small experts may be on ranks that are not idle
      if (!found()) return;
      layer_.swap(best_.slot, best_.other);
    }
  }

 private:
  bool found() const { return best_.slot >= 0; }

  void find_step(std::size_t partners) {
    best_ = {};
    best_.value = (work_ - target_) * kLeastGain;
    find_partners(partners);
    for (std::size_t i = 0; i < used_; ++i) {
      if (partners_[i] != busy_) try_partner(partners_[i]);
    }
  }

  // The least busy ranks, in order.
  void find_partners(std::size_t partners) {
    used_ = 0;
    for (std::int32_t rank = 0; rank < shape_.ranks; ++rank) {
      if (used_ == partners && layer_.work(rank) >= layer_.work(partners_[used_ - 1])) continue;
      std::size_t place = used_ < partners ? used_++ : used_ - 1;
      for (; place > 0 && layer_.work(partners_[place - 1]) > layer_.work(rank); --place) {
        partners_[place] = partners_[place - 1];
      }
      partners_[place] = rank;
    }
  }

  // Exchanges with this rank. The innermost loops of all: what can win is looked for without a branch, because which
  // exchange that is cannot be predicted.
  void try_partner(std::int32_t rank) {
    gap_ = work_ - layer_.work(rank);
    if (std::min(gap_ / 2, work_ - target_) * kNoFetch < best_.value) return;
    const std::int32_t theirs = rank * shape_.slots_per_rank;
    for (std::int32_t i = 0; i < shape_.slots_per_rank; ++i) {
      const std::int32_t expert = layer_.expert_in(theirs + i);
      const bool fetched = was_on_[index(busy_, expert)] == 0;
      const auto place = static_cast<std::size_t>(i);
      shares_[place] = layer_.share(expert);
      worth_[0][place] = fetched ? kOneFetch : kNoFetch;
      worth_[1][place] = fetched ? kTwoFetches : kOneFetch;
    }
    const bool local = shape_.node(rank) == shape_.node(busy_);
    const std::int32_t mine = busy_ * shape_.slots_per_rank;
    for (std::int32_t slot = mine; slot < mine + shape_.slots_per_rank; ++slot) {
      const std::int32_t expert = layer_.expert_in(slot);
      const double share = layer_.share(expert);
      const std::vector<double>& worth = worth_[was_on_[index(rank, expert)] == 0];
      if (greatest_value(share, worth) < best_.value) continue;
      for (std::int32_t i = 0; i < shape_.slots_per_rank; ++i) {
        const auto place = static_cast<std::size_t>(i);
        const double difference = share - shares_[place];
        const double peak = std::max(work_ - difference, layer_.work(rank) + difference);
        const Improvement step{slot, theirs + i, relief(difference) * worth[place], local, peak};
        if (better(step, best_)) best_ = step;
      }
    }
  }

  // A step that takes `difference` from the busiest rank relieves it by no more than the difference, by no more than
  // what then still parts the two ranks, and by no more than is asked for.
  double relief(double difference) const { return std::min(std::min(difference, gap_ - difference), work_ - target_); }

  // Of the exchanges of this share for one of the partner's.
  double greatest_value(double share, const std::vector<double>& worth) const {
    double greatest[kLanes] = {};
    for (std::size_t i = 0; i < shares_.size(); i += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        greatest[lane] = std::max(greatest[lane], relief(share - shares_[i + lane]) * worth[i + lane]);
      }
    }
    return *std::max_element(greatest, greatest + kLanes);
  }

  std::size_t index(std::int32_t rank, std::int32_t expert) const {
    return static_cast<std::size_t>(rank) * static_cast<std::size_t>(shape_.experts) + static_cast<std::size_t>(expert);
  }

  static bool better(const Improvement& a, const Improvement& b) {
    if (a.value != b.value) return a.value > b.value;
    if (a.local != b.local) return a.local;
    return a.peak < b.peak;
  }

  ExpertLayer& layer_;
  const ExpertShape& shape_;
  const double target_;
  std::vector<char> was_on_;  // (ranks, experts): the rank holds the expert in the placement in force
  std::vector<std::int32_t> partners_;
  std::size_t used_ = 0;
  // Of the partner's slots. Filled up to whole lanes with shares that nobody wants.
  std::vector<double> shares_;
  std::vector<double> worth_[2];  // of a unit of relief; [1]: the partner has to fetch the busiest rank's expert
  std::int32_t busy_ = 0;
  double work_ = 0.0;  // of busy_
  double gap_ = 0.0;   // between busy_ and the partner
  Improvement best_;
};

// Replicas of every expert: one each, then the greatest share gets one more.
std::vector<std::int32_t> replicate(const ExpertShape& shape, const std::vector<double>& load) {
  std::vector<std::int32_t> replicas(load.size(), 1);
  const auto less = [&](std::int32_t a, std::int32_t b) {
    const auto i = static_cast<std::size_t>(a), j = static_cast<std::size_t>(b);
    return load[i] * replicas[j] < load[j] * replicas[i];
  };
  std::int32_t spare = shape.slots() - shape.experts;
  if (spare == 0) return replicas;
  std::vector<std::int32_t> heap(load.size());
  std::iota(heap.begin(), heap.end(), 0);
  std::make_heap(heap.begin(), heap.end(), less);
  for (; spare > 0; --spare) {
    std::pop_heap(heap.begin(), heap.end(), less);
    ++replicas[static_cast<std::size_t>(heap.back())];
    std::push_heap(heap.begin(), heap.end(), less);
  }
  return replicas;
}

// The replicas of all experts, the greatest share first.
std::vector<std::pair<double, std::int32_t>> pieces_of(const ExpertShape& shape, const std::vector<double>& load) {
  const std::vector<std::int32_t> replicas = replicate(shape, load);
  std::vector<std::pair<double, std::int32_t>> shares;  // share, expert
  shares.reserve(load.size());
  for (std::size_t expert = 0; expert < load.size(); ++expert) {
    shares.push_back({load[expert] / replicas[expert], static_cast<std::int32_t>(expert)});
  }
  std::sort(shares.begin(), shares.end(), std::greater<>());
  std::vector<std::pair<double, std::int32_t>> pieces;
  pieces.reserve(static_cast<std::size_t>(shape.slots()));
  for (const auto& share : shares) {
    for (std::int32_t left = replicas[static_cast<std::size_t>(share.second)]; left > 0; --left)
      pieces.push_back(share);
  }
  return pieces;
}

// The rank of `row` that each rank takes over, the pairs with the most experts in common first.
std::vector<std::int32_t> match(const ExpertShape& shape, const ExpertRow& row, const ExpertRow& origin) {
  struct Pair {
    std::int32_t common, rank, taken;
  };
  std::vector<Pair> pairs;
  for (std::int32_t taken = 0; taken < shape.ranks; ++taken) {
    const auto begin = row.begin() + std::ptrdiff_t{taken} * shape.slots_per_rank;
    for (std::int32_t rank = 0; rank < shape.ranks; ++rank) {
      const auto common = std::count_if(begin, begin + shape.slots_per_rank,
                                        [&](std::int32_t expert) { return row_holds(shape, origin, rank, expert); });
      pairs.push_back({static_cast<std::int32_t>(common), rank, taken});
    }
  }
  std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.common > b.common; });
  std::vector<std::int32_t> takes(static_cast<std::size_t>(shape.ranks), -1);
  std::vector<bool> gone(static_cast<std::size_t>(shape.ranks), false);
  for (const Pair& pair : pairs) {
    if (takes[static_cast<std::size_t>(pair.rank)] >= 0 || gone[static_cast<std::size_t>(pair.taken)]) continue;
    takes[static_cast<std::size_t>(pair.rank)] = pair.taken;
    gone[static_cast<std::size_t>(pair.taken)] = true;
  }
  return takes;
}

// What stays keeps its slot; the rest fills what is left.
void settle(ExpertRow incoming, std::span<const std::int32_t> before, std::span<std::int32_t> after) {
  std::vector<std::size_t> free;
  for (std::size_t slot = 0; slot < before.size(); ++slot) {
    const auto same = std::find(incoming.begin(), incoming.end(), before[slot]);
    if (same == incoming.end()) {
      free.push_back(slot);
    } else {
      after[slot] = *same;
      incoming.erase(same);
    }
  }
  for (const std::size_t slot : free) {
    after[slot] = incoming.back();
    incoming.pop_back();
  }
}

}  // namespace

void relieve(ExpertLayer& layer, const ExpertRow& origin, double target) {
  Relief(layer, origin, target).run();
}

ExpertRow pack_anew(const ExpertShape& shape, const std::vector<double>& load) {
  struct Bin {
    double work;
    std::int32_t rank;
    bool operator<(const Bin& other) const { return work != other.work ? work < other.work : rank < other.rank; }
  };
  std::vector<Bin> open;  // ranks with free slots, the least busy first
  open.reserve(static_cast<std::size_t>(shape.ranks));
  for (std::int32_t rank = 0; rank < shape.ranks; ++rank) open.push_back({0.0, rank});
  std::vector<std::int32_t> used(static_cast<std::size_t>(shape.ranks), 0);
  ExpertRow row(static_cast<std::size_t>(shape.slots()));
  for (const auto& [share, expert] : pieces_of(shape, load)) {
    const auto lacks = [&, expert = expert](const Bin& bin) {
      const auto begin = row.begin() + std::ptrdiff_t{bin.rank} * shape.slots_per_rank;
      const auto end = begin + used[static_cast<std::size_t>(bin.rank)];
      return std::find(begin, end, expert) == end;
    };
    // The last when all hold the expert already.
    const auto place = std::find_if(open.begin(), open.end() - 1, lacks);
    const Bin bin{place->work + share, place->rank};
    std::int32_t& count = used[static_cast<std::size_t>(bin.rank)];
    row[static_cast<std::size_t>(bin.rank) * static_cast<std::size_t>(shape.slots_per_rank) +
        static_cast<std::size_t>(count)] = expert;
    if (++count == shape.slots_per_rank) {
      open.erase(place);
      continue;
    }
    const auto end = std::move(place + 1, std::lower_bound(place + 1, open.end(), bin), place);
    *end = bin;
  }
  return row;
}

void shake(ExpertLayer& layer, double target, int rounds) {
  std::minstd_rand random(1);
  const auto below = [&random](std::int32_t limit) {
    return static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(limit));
  };
  const ExpertShape& shape = layer.shape();
  for (; rounds > 0 && layer.peak() > target; --rounds) {
    ExpertLayer tried = layer;
    for (std::int32_t changes = 1 + below(shape.slots() / 2); changes > 0; --changes) {
      const std::int32_t slot = below(shape.slots());
      if (tried.count(tried.expert_in(slot)) > 1) {
        tried.put(slot, below(shape.experts));
      } else {
        tried.swap(slot, below(shape.slots()));
      }
    }
    relieve(tried, tried.row(), target);
    if (tried.peak() <= layer.peak()) layer = std::move(tried);
  }
}

ExpertRow keep_in_place(const ExpertShape& shape, const ExpertRow& row, const ExpertRow& origin) {
  const std::vector<std::int32_t> takes = match(shape, row, origin);
  const auto slots = static_cast<std::size_t>(shape.slots_per_rank);
  ExpertRow result(row.size());
  for (std::size_t rank = 0; rank < takes.size(); ++rank) {
    const auto begin = row.begin() + std::ptrdiff_t{takes[rank]} * shape.slots_per_rank;
    settle({begin, begin + shape.slots_per_rank}, std::span(origin).subspan(rank * slots, slots),
           std::span(result).subspan(rank * slots, slots));
  }
  return result;
}

}  // namespace millrace::controller
