// The rebalancing of one group over time: watch the loads, plan, let the ranks move, prove that it helped, or take it
// back. Pure: the caller asks the agents and sends what it is told to send.
//
//   Watching --a plan saves enough--> Moving --in force--> Proving --less imbalance--> Watching
//                                       |                     '--no less: send the old placement--> Moving
//                                       '--failed, lost: the old placement serves--> Watching, after a rest
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/agent_api.h"
#include "operator/plan/experts.h"

namespace millrace::controller {

struct ExpertPolicy {
  std::chrono::milliseconds interval{60'000};  // between two looks at the loads
  double min_improvement = 0.05;               // share of the busiest ranks' work that a move must save
  std::int64_t max_bytes_per_second = 0;       // of a rank; 0: no limit

  bool operator==(const ExpertPolicy&) const = default;
};

// What the leader's agent said.
struct ExpertReading {
  common::ExpertLoadReport load;
  common::ExpertPlacementMessage placement;
};

// The last move that was proved to help, or the one that was taken back.
struct ExpertMoveResult {
  LayerBalance all;
  LayerBalance worst;  // of the layer that was worst before
  std::int32_t worst_layer = 0;
  std::int64_t bytes = 0;
  std::chrono::system_clock::time_point at;
};

enum class ExpertVerdict {  // from the best to the worst
  kBalanced,
  kNoTraffic,    // too few tokens to judge
  kRebalancing,  // experts move, or the move is being proved
  kReverted,     // the last move did not help
  kMoveFailed,
  kPlanRefused,
  kStalled,  // two intervals without an answer
};
std::string_view to_string(ExpertVerdict verdict);  // the reason of the condition

struct ExpertGroupStatus {
  std::string group;
  ExpertVerdict verdict = ExpertVerdict::kNoTraffic;
  std::string message;
  std::int64_t placement_number = 0;
  std::optional<ExpertMoveResult> last;  // that helped
  std::int64_t bytes_moved = 0;          // by all moves, those taken back included
  std::int32_t reverted = 0;
};

class ExpertCycle {
 public:
  using TimePoint = std::chrono::system_clock::time_point;

  // node_of_rank: of expert ranks; see ExpertShape.
  ExpertCycle(ExpertPolicy policy, std::vector<std::int32_t> node_of_rank, TimePoint now);

  // An answer of the agent. The placement to send, if it is time for one.
  std::optional<common::ExpertPlacementMessage> heard(const ExpertReading& reading, TimePoint now);
  // The agent did not take the placement that heard() returned.
  void refused(const std::string& why, TimePoint now);

  bool moving() const { return phase_ == Phase::kMoving; }
  ExpertGroupStatus status(TimePoint now) const;

 private:
  using Table = std::vector<std::vector<double>>;  // [layer][expert]
  enum class Phase { kWatching, kMoving, kProving };

  void read_shape(const ExpertReading& reading);
  void take_sample(const common::ExpertLoadReport& load, TimePoint now);
  Table window() const;
  void follow_move(const ExpertReading& reading, TimePoint now);
  std::optional<common::ExpertPlacementMessage> prove(const ExpertReading& reading, TimePoint now);
  std::optional<common::ExpertPlacementMessage> plan(const ExpertReading& reading, TimePoint now);
  common::ExpertPlacementMessage send(std::vector<ExpertRow> rows, TimePoint now);
  void rest(ExpertVerdict verdict, std::string message, TimePoint until);

  const ExpertPolicy policy_;
  ExpertShape shape_;
  Phase phase_ = Phase::kWatching;
  ExpertVerdict verdict_ = ExpertVerdict::kNoTraffic;
  std::string message_;

  common::ExpertLoadReport counted_;  // at the last sample
  bool counting_ = false;
  std::deque<Table> samples_;
  TimePoint heard_at_;
  TimePoint sampled_at_;
  TimePoint not_before_;  // no plan earlier

  common::ExpertPlacementMessage target_;
  bool reverting_ = false;
  TimePoint sent_at_;
  std::vector<ExpertRow> before_;   // the rows that the move replaced
  common::ExpertLoadReport proof_;  // counts when the move was in force
  ExpertMoveResult result_;         // as planned, then as measured
  ExpertGroupStatus status_;
};

}  // namespace millrace::controller
