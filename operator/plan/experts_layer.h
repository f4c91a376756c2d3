// One layer of an expert placement while it is being changed: who holds what, and how much work that gives each rank.
#pragma once

#include <cstdint>
#include <vector>

#include "operator/plan/experts.h"

namespace millrace::controller {

class ExpertLayer {
 public:
  // `shape` and `load` are borrowed; `row` names every expert at least once.
  ExpertLayer(const ExpertShape& shape, const std::vector<double>& load, ExpertRow row);

  const ExpertRow& row() const { return row_; }
  const ExpertShape& shape() const { return *shape_; }
  std::int32_t expert_in(std::int32_t slot) const { return row_[static_cast<std::size_t>(slot)]; }
  std::int32_t rank_of(std::int32_t slot) const { return slot / shape_->slots_per_rank; }
  std::int32_t count(std::int32_t expert) const { return count_[static_cast<std::size_t>(expert)]; }
  double share(std::int32_t expert) const { return share_[static_cast<std::size_t>(expert)]; }
  double work(std::int32_t rank) const { return work_[static_cast<std::size_t>(rank)]; }
  bool holds(std::int32_t rank, std::int32_t expert) const;
  bool on_node(std::int32_t node, std::int32_t expert) const;

  std::int32_t busiest() const;
  double peak() const { return work(busiest()); }
  double mean() const { return total_ / shape_->ranks; }
  // No placement of this shape has a busiest rank below this.
  double lower_bound() const;

  // Makes the greatest share at most `limit`, or as small as it gets, by giving slots of replicas that matter least to
  // the experts with the greatest shares.
  void split_greatest(double limit);
  void put(std::int32_t slot, std::int32_t expert);
  void swap(std::int32_t a, std::int32_t b);

 private:
  static constexpr std::int32_t kEnd = -1;

  std::int32_t first(std::int32_t expert) const { return first_[static_cast<std::size_t>(expert)]; }
  std::int32_t next(std::int32_t slot) const { return next_[static_cast<std::size_t>(slot)]; }
  std::int32_t idlest_slot(std::int32_t of, std::int32_t without) const;
  void link(std::int32_t slot, std::int32_t expert);
  void unlink(std::int32_t slot, std::int32_t expert);
  void recount(std::int32_t expert, std::int32_t replicas);

  const ExpertShape* shape_;
  const std::vector<double>* load_;
  ExpertRow row_;
  // The slots of an expert are a chain: an array for each would cost more than all the rest.
  std::vector<std::int32_t> first_;  // by expert: a slot
  std::vector<std::int32_t> next_;   // by slot: another slot of the same expert; kEnd
  std::vector<std::int32_t> count_;  // by expert
  std::vector<double> share_;        // by expert: of one replica
  std::vector<double> work_;         // by rank
  double total_ = 0.0;
};

}  // namespace millrace::controller
