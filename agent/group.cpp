#include "agent/group.h"

#include "agent/shared_comm.h"
#include "common/error.h"
#include "common/log.h"

namespace millrace::agent {

using common::AgentPhase;
using common::Code;
using common::Error;

std::string membership_fault(const common::GroupMembership& membership, std::int32_t pod_index) {
  const auto pods = static_cast<std::int64_t>(membership.peers.size());
  const auto ranks = pods * membership.ranks_per_pod;
  if (ranks != membership.tensor_parallel) {
    return "tensor_parallel is " + std::to_string(membership.tensor_parallel) + ", but " + std::to_string(pods) +
           " peers with ranks_per_pod " + std::to_string(membership.ranks_per_pod) + " have " + std::to_string(ranks) +
           " ranks; make them equal";
  }
  if (membership.tensor_parallel % membership.expert_parallel != 0) {
    return "expert_parallel is " + std::to_string(membership.expert_parallel) +
           "; expected a divisor of tensor_parallel " + std::to_string(membership.tensor_parallel);
  }
  if (pod_index >= pods) {
    return "peers has " + std::to_string(pods) + " pods, but this is pod " + std::to_string(pod_index);
  }
  return {};
}

std::vector<engine::TcpEndpoint> rank_endpoints(const common::GroupMembership& membership, std::uint16_t group_port) {
  std::vector<engine::TcpEndpoint> endpoints;
  for (const common::GroupPeer& peer : membership.peers) {
    for (std::int32_t local = 0; local < membership.ranks_per_pod; ++local) {
      endpoints.push_back({.host = peer.host, .port = static_cast<std::uint16_t>(group_port + local)});
    }
  }
  return endpoints;
}

namespace {

bool same_members(const common::GroupMembership& a, const common::GroupMembership& b) {
  const auto same_peer = [](const common::GroupPeer& x, const common::GroupPeer& y) {
    return x.pod_index == y.pod_index && x.host == y.host;
  };
  return a.tensor_parallel == b.tensor_parallel && a.expert_parallel == b.expert_parallel &&
         a.ranks_per_pod == b.ranks_per_pod &&
         std::equal(a.peers.begin(), a.peers.end(), b.peers.begin(), b.peers.end(), same_peer);
}

}  // namespace

Group::Group(GroupOptions options, GroupRuntime runtime, EngineSlot& slot)
    : options_(std::move(options)), runtime_(std::move(runtime)), slot_(slot), thread_([this] { run(); }) {}

Group::~Group() {
  shutdown(std::chrono::milliseconds{0});
}

void Group::set_membership(const common::GroupMembership& membership) {
  const std::string fault = membership_fault(membership, options_.pod_index);
  if (!fault.empty()) throw Error(Code::kInvalidArgument, fault);
  const std::lock_guard lock(mutex_);
  if (wanted_ && membership.generation < wanted_->generation) {
    throw Error(Code::kConflict, "generation is " + std::to_string(membership.generation) + ", but " +
                                     std::to_string(wanted_->generation) + " is already in force");
  }
  if (wanted_ && membership.generation == wanted_->generation) {
    if (same_members(*wanted_, membership)) return;
    throw Error(Code::kConflict, "generation " + std::to_string(membership.generation) +
                                     " is in force with other members; raise the generation to change them");
  }
  wanted_ = membership;
  connecting_.request_stop();
  // A leader that serves ends its engine in order; whoever else is inside a collective must be woken.
  if (state_.phase == AgentPhase::kLoading || following_) {
    abort_comms_locked("generation " + std::to_string(membership.generation) + " replaces this group");
  }
  changed_.notify_all();
}

Group::State Group::state() const {
  std::string failure;
  slot_.use([&failure](engine::Engine& engine) { failure = engine.failure(); });
  const std::lock_guard lock(mutex_);
  State state = state_;
  state.load_progress = load_progress_;
  if (state.phase == AgentPhase::kServing && !failure.empty()) {
    state.phase = AgentPhase::kFailed;
    state.message = failure;
  }
  return state;
}

void Group::shutdown(std::chrono::milliseconds follower_grace) {
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    connecting_.request_stop();
    changed_.notify_all();
    changed_.wait_for(lock, follower_grace, [this] { return !following_; });
    if (following_ || state_.phase == AgentPhase::kLoading) abort_comms_locked("the agent is stopping");
  }
  if (thread_.joinable()) thread_.join();
}

void Group::run() {
  while (true) {
    common::GroupMembership membership;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || (wanted_ && wanted_->generation > current_); });
      if (stopping_) break;
      membership = *wanted_;
      current_ = membership.generation;
      connecting_ = std::stop_source();
      state_ = State{.phase = AgentPhase::kLoading,
                     .message = "connecting the ranks",
                     .generation = membership.generation,
                     .leader = options_.pod_index == 0};
    }
    load_progress_ = 0.0;
    common::log_info("group starts", {{"group", membership.group},
                                      {"generation", membership.generation},
                                      {"pod_index", options_.pod_index},
                                      {"tensor_parallel", membership.tensor_parallel},
                                      {"expert_parallel", membership.expert_parallel}});
    try {
      bring_up(membership);
    } catch (const std::exception& error) {
      common::log_error("group failed", {{"generation", membership.generation}, {"error", error.what()}});
      set_phase(AgentPhase::kFailed, error.what());
    }
    watch();
    tear_down();
  }
  tear_down();
}

void Group::bring_up(const common::GroupMembership& membership) {
  std::optional<Comms> comms = connect(membership);
  if (!comms) return;  // superseded
  engine::EngineOptions options = options_.engine;
  options.expert_parallel = membership.expert_parallel;
  options.on_load_progress = [this](double progress) { load_progress_ = progress; };
  set_phase(AgentPhase::kLoading, "loading the weights");
  if (options_.pod_index == 0) return lead(options, std::move(*comms));

  {
    const std::lock_guard lock(mutex_);
    following_ = true;
  }
  const auto stop_following = [this] {
    const std::lock_guard lock(mutex_);
    following_ = false;
    changed_.notify_all();
  };
  try {
    runtime_.follow(options, options_.tokens, std::move(*comms), [this] {
      load_progress_ = 1.0;
      set_phase(AgentPhase::kServing, "");
      common::log_info("follower is ready");
    });
  } catch (...) {
    stop_following();
    throw;
  }
  stop_following();
  set_phase(AgentPhase::kFailed, "the leader has stopped; waiting for the next generation");
}

void Group::lead(const engine::EngineOptions& options, Comms comms) {
  std::unique_ptr<engine::Engine> engine = runtime_.start(options, options_.tokens, std::move(comms));
  const engine::EngineInfo& info = engine->info();
  common::log_info("engine is ready", {{"architecture", info.architecture},
                                       {"backend", info.backend},
                                       {"max_model_len", info.max_model_len},
                                       {"world_size", info.world_size},
                                       {"kv_blocks", info.kv_blocks},
                                       {"state_slots", info.state_slots}});
  load_progress_ = 1.0;
  slot_.set(std::move(engine));
  set_phase(AgentPhase::kServing, "");
}

// Empty when a newer generation or the end comes first.
std::optional<Comms> Group::connect(const common::GroupMembership& membership) {
  const auto deadline = std::chrono::steady_clock::now() + options_.connect_limit;
  const std::stop_token stop = [this] {
    const std::lock_guard lock(mutex_);
    return connecting_.get_token();
  }();
  GroupRuntime::ConnectRequest request{.membership = membership,
                                       .pod_index = options_.pod_index,
                                       .group_port = options_.group_port,
                                       .secret = {},
                                       .timeout_ms = static_cast<int>(options_.connect_attempt.count()),
                                       .stop = stop};
  while (true) {
    Comms shared;
    request.secret = options_.secret();  // a new one may have come to this pod later than to its peers
    try {
      Comms comms = runtime_.connect(request);
      const std::lock_guard lock(mutex_);
      if (superseded_locked()) return std::nullopt;
      for (auto& comm : comms) {
        comms_.push_back(std::move(comm));
        shared.push_back(share_comm(comms_.back()));
      }
      return shared;
    } catch (const Error& error) {
      if (stop.stop_requested()) return std::nullopt;
      if (error.code() != Code::kDeadlineExceeded || std::chrono::steady_clock::now() >= deadline) throw;
      common::log_warn("the group is not complete yet",
                       {{"generation", membership.generation}, {"error", error.what()}});
      set_phase(AgentPhase::kLoading, error.what());
    }
  }
}

// Until a newer generation or the end; meanwhile notices when the engine fails.
void Group::watch() {
  std::unique_lock lock(mutex_);
  while (!superseded_locked()) {
    if (state_.phase != AgentPhase::kServing) {
      changed_.wait(lock, [this] { return superseded_locked(); });
      return;
    }
    changed_.wait_for(lock, options_.failure_poll, [this] { return superseded_locked(); });
    lock.unlock();
    std::string failure;
    slot_.use([&failure](engine::Engine& engine) { failure = engine.failure(); });
    lock.lock();
    if (failure.empty()) continue;
    common::log_error("engine failed", {{"generation", state_.generation}, {"error", failure}});
    state_.phase = AgentPhase::kFailed;
    state_.message = failure;
  }
}

void Group::tear_down() {
  slot_.reset();
  const std::lock_guard lock(mutex_);
  abort_comms_locked("the group has ended");
  comms_.clear();
}

bool Group::superseded_locked() const {
  return stopping_ || (wanted_ && wanted_->generation > current_);
}

void Group::set_phase(AgentPhase phase, const std::string& message) {
  const std::lock_guard lock(mutex_);
  state_.phase = phase;
  state_.message = message;
}

void Group::abort_comms_locked(const std::string& reason) {
  for (const auto& comm : comms_) comm->abort(reason);
}

}  // namespace millrace::agent
