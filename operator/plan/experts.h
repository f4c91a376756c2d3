// Where the experts of a group should live. Pure: from the tokens that each expert got to a placement whose busiest
// rank has the least work, reached from the placement in force with the fewest bytes.
//
// A placement has a row for each layer; entry [rank * slots_per_rank + slot] is the expert in that slot. The replicas
// of an expert get equal shares of its tokens. The work of a rank is the sum over its slots, and the imbalance of a
// layer is the busiest rank over the mean: 1 is perfect.
//
// Order of aims: (1) the load of the busiest rank, up to `tolerance`; (2) experts that a rank has to fetch; (3) those
// of them that no rank of the same node holds. Slots beyond one for each expert hold replicas only where they help; the
// others repeat an expert of their own rank, which costs nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::controller {

using ExpertRow = std::vector<std::int32_t>;

struct ExpertShape {
  std::int32_t experts = 0;
  std::int32_t ranks = 1;  // expert-parallel ranks
  std::int32_t slots_per_rank = 0;
  std::vector<std::int32_t> node_of_rank;  // any numbers; empty: one node

  std::int32_t slots() const { return ranks * slots_per_rank; }
  std::int32_t node(std::int32_t rank) const {
    return node_of_rank.empty() ? 0 : node_of_rank[static_cast<std::size_t>(rank)];
  }
};

struct ExpertPlanInput {
  ExpertShape shape;
  std::int64_t bytes_per_expert = 0;       // of one expert in one layer
  std::vector<std::vector<double>> loads;  // [layer][expert], tokens in the window
  std::vector<ExpertRow> current;          // by layer
  double tolerance = 0.01;                 // a busiest rank this much above the best found is as good
};

// An expert that a rank has to fetch.
struct ExpertFetch {
  std::int32_t layer = 0;
  std::int32_t expert = 0;
  std::int32_t rank = 0;
  bool same_node = false;  // a rank of the same node held it before
};

struct LayerBalance {
  double before = 1.0;  // imbalance
  double after = 1.0;
};

struct ExpertPlan {
  std::string refused;  // why there is no plan; empty when there is one
  std::vector<ExpertRow> placement;
  std::vector<ExpertFetch> fetches;
  std::vector<LayerBalance> layers;
  LayerBalance all;              // every layer's busiest rank, over every layer's mean
  std::int32_t worst_layer = 0;  // by imbalance before
  std::int64_t bytes = 0;        // to be fetched
  std::int64_t bytes_between_nodes = 0;

  bool ok() const { return refused.empty(); }
  // Share of the busiest ranks' work that the plan saves, 0..1.
  double improvement() const { return all.before > 0 ? (all.before - all.after) / all.before : 0.0; }
};

ExpertPlan plan_experts(const ExpertPlanInput& input);

// Busiest rank over mean rank of one layer; 1 without load.
double expert_imbalance(const ExpertShape& shape, const std::vector<double>& load, const ExpertRow& row);

// The same over all layers together: a step waits for the busiest rank of each.
double expert_imbalance(const ExpertShape& shape, const std::vector<std::vector<double>>& loads,
                        const std::vector<ExpertRow>& rows);

// Empty when `rows` is a placement of `layers` layers of this shape; otherwise its first fault.
std::string placement_fault(const ExpertShape& shape, const std::vector<ExpertRow>& rows, std::size_t layers);

}  // namespace millrace::controller
