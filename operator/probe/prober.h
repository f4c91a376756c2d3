// Asks every agent once a second how it is, gives groups their membership and tells agents to drain. What the agents
// said last is kept with its age; the reconciler reads it, and is told when it should look again.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "operator/kube/object.h"
#include "operator/plan/evidence.h"
#include "operator/plan/membership.h"
#include "operator/plan/zone_evidence.h"
#include "operator/probe/agent_client.h"

namespace millrace::controller {

struct ProbePod {
  std::string uid;
  std::string ip;
  std::int32_t index = 0;

  bool operator==(const ProbePod&) const = default;
};

// What to do with one group.
struct ProbeGroup {
  GroupShape shape;
  std::vector<ProbePod> pods;  // those that have an address
  std::string token;
  bool drain = false;
  std::string zone;
  std::string previous_token = {};                    // as in AgentAddress
  std::shared_ptr<const common::TlsClient> tls = {};  // as in AgentAddress
};

// What the reconciler needs of the prober. Any thread.
class AgentProbe {
 public:
  virtual ~AgentProbe() = default;

  // Replaces what is known of a deployment's groups; empty forgets it.
  virtual void watch(const kube::ObjectKey& deployment, std::vector<ProbeGroup> groups) = 0;
  virtual std::optional<AgentEvidence> evidence(const std::string& pod_uid) const = 0;
};

struct ProberOptions {
  std::chrono::milliseconds period{1'000};
  // After an agent that used to answer did not: a blip and a failure are told apart sooner.
  std::chrono::milliseconds retry{100};
  std::chrono::milliseconds settle{2'000};  // until every member of a group has noticed its membership
  std::chrono::milliseconds rest{10'000};   // between two attempts to start a group that does not come up
  int threads = 8;
  // Something changed that a plan may depend on. Called on the prober's threads.
  std::function<void(const kube::ObjectKey&)> on_change;
  // A group was asked, whatever it said. Called on the prober's threads.
  std::function<void(const kube::ObjectKey&)> on_round;
};

class Prober final : public AgentProbe {
 public:
  // `agents` is borrowed and called from several threads.
  Prober(AgentClient& agents, ProberOptions options);
  ~Prober() override;  // stops

  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  void watch(const kube::ObjectKey& deployment, std::vector<ProbeGroup> groups) override;
  std::optional<AgentEvidence> evidence(const std::string& pod_uid) const override;

  // Every agent that answered at some time.
  std::vector<AgentContact> contacts() const;

 private:
  using Clock = std::chrono::steady_clock;

  struct Known {  // of one pod
    common::AgentStatus status;
    std::optional<Clock::time_point> answered_at;
    std::string error;
  };
  struct Entry {  // of one group
    kube::ObjectKey deployment;
    ProbeGroup group;
    Clock::time_point due;
    bool busy = false;
    std::int64_t pushed = 0;        // generation of the last membership that was pushed
    Clock::time_point pushed_at{};  // and when
  };
  using Entries = std::map<std::string, Entry>;  // by namespace and group name

  void run();
  void probe(const std::string& name, const Entry& entry);
  bool in_doubt_locked(const ProbeGroup& group) const;  // an agent that answered not long ago does not now
  void start_group(const std::string& name, const Entry& entry, const std::vector<MemberView>& members);
  bool ask(const ProbeGroup& group, const ProbePod& pod, MemberView& member);
  void push(const ProbeGroup& group, const common::GroupMembership& membership);
  void tell_to_drain(const ProbeGroup& group, const std::vector<MemberView>& members);
  void know_only_watched_locked();

  AgentClient& agents_;
  const ProberOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  Entries entries_;
  std::map<std::string, Known> known_;  // by pod uid
  std::vector<std::thread> threads_;
};

}  // namespace millrace::controller
