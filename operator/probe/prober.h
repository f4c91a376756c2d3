// Asks agents how they are, gives groups their membership and tells agents to drain, where it may. What the agents said
// last is kept with its age; the reconciler reads it, and is told when it should look again.
//
// A group that starts, drains or fails, or of which an agent does not answer, is asked whole every second. One that
// serves steadily is asked through its leader alone, who knows when a follower has gone: every second while its numbers
// change or are wanted, else every few seconds, or more where groups are very many. All connections are kept meanwhile,
// and one that ends (the process died; the kernel found the peer silent) has its group asked at once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
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
  bool closely = false;  // its numbers are wanted every second, also when they do not change
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
  std::chrono::milliseconds quiet{5'000};       // instead, for the leader of a group whose numbers stand still
  std::chrono::milliseconds followers{30'000};  // for the followers of a group that serves steadily
  // Groups above that many for each second of `quiet` make both times longer: what it costs to ask groups that do
  // nothing has an end, however many there are.
  double quiet_groups_per_second = 60;
  // After an agent that used to answer did not: a blip and a failure are told apart sooner.
  std::chrono::milliseconds retry{100};
  std::chrono::milliseconds settle{2'000};  // until every member of a group has noticed its membership
  std::chrono::milliseconds rest{10'000};   // between two attempts to start a group that does not come up
  // False: agents are asked and told nothing. Called on the client's threads; must not block.
  std::function<bool()> may_tell = [] { return true; };
  // These are called on the threads of the prober and of the client, and must not block.
  std::function<void(const kube::ObjectKey&)> on_change;  // something changed that a plan may depend on
  std::function<void(const kube::ObjectKey&)> on_round;   // a group was asked, whatever it said
};

class Prober final : public AgentProbe {
 public:
  // `agents` is borrowed, and tells nobody else of lost connections.
  Prober(AgentClient& agents, ProberOptions options);
  ~Prober() override;  // stops; waits for the answers that are outstanding

  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  void watch(const kube::ObjectKey& deployment, std::vector<ProbeGroup> groups) override;
  std::optional<AgentEvidence> evidence(const std::string& pod_uid) const override;

  // Of all agents that answered at some time.
  ZoneContacts contacts() const;

  // Those with a group in one of the zones.
  std::set<kube::ObjectKey> deployments_in(const std::set<std::string>& zones) const;

 private:
  using Clock = std::chrono::steady_clock;
  using Name = std::pair<kube::ObjectKey, std::string>;  // of the deployment and of the group

  struct Known {  // of one pod
    common::AgentStatus status;
    std::uint64_t digest = 0;  // of the answer that brought it
    std::optional<Clock::time_point> answered_at;
    Clock::time_point alive_at{};  // the last sign of life; older than that while watched
    bool watched = false;
    std::string error;

    std::chrono::milliseconds silence() const;  // since the last sign of life
  };
  struct Entry {  // of one group
    ProbeGroup group;
    std::vector<Known> known;  // of group.pods
    Clock::time_point due;
    Clock::time_point whole_due;    // when all pods are asked, however steady the group is
    std::uint64_t round = 0;        // the one that is going on; 0: none, and the group is in the queue
    bool again = false;             // something happened during the round: another follows at once
    std::int64_t pushed = 0;        // generation of the last membership that was pushed
    Clock::time_point pushed_at{};  // and when
  };
  using Entries = std::map<Name, Entry>;
  struct Place {
    Entries::value_type* entry = nullptr;
    std::size_t pod = 0;

    Known& known() const { return entry->second.known[pod]; }
  };
  struct Question;
  struct Round;
  using RoundPtr = std::shared_ptr<Round>;  // with the calls that are outstanding

  void run();
  RoundPtr begin_round_locked(Entries::value_type& item, Clock::time_point now);
  void ask(const RoundPtr& round);
  void take_answer(const RoundPtr& round, std::size_t number, StatusAnswer answer);
  bool keep_answer_locked(const Round& round, const std::string& uid, StatusAnswer answer, MemberView& member);
  void decide(const RoundPtr& round);
  void drain(const RoundPtr& round);
  void tell(const RoundPtr& round, const std::vector<std::size_t>& pods, const char* refusal,
            const std::function<void(const AgentAddress&, AgentClient::Done)>& call);
  void finish(const RoundPtr& round);
  Clock::time_point next_due_locked(Entry& entry, const Round& round);

  void lost(const std::string& ip, std::chrono::milliseconds silent_for);
  void set_group_locked(Entries::value_type& item, ProbeGroup group, std::vector<AgentAddress>& gone);
  void ask_soon_locked(Entries::value_type& item);
  void schedule_locked(Entries::value_type& item, Clock::time_point due);
  static bool is_steady(const Entry& entry);
  static bool in_doubt(const Entry& entry);  // an agent that answered not long ago does not now
  std::chrono::milliseconds about(std::chrono::milliseconds time);
  std::chrono::milliseconds unhurried_locked(std::chrono::milliseconds time);

  AgentClient& agents_;
  const ProberOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::size_t rounds_ = 0;  // going on
  std::uint64_t last_round_ = 0;
  Entries entries_;
  std::set<std::pair<Clock::time_point, Entries::value_type*>> queue_;  // of groups that are not being asked
  std::unordered_map<std::string, Place> by_uid_;
  std::unordered_map<std::string, Place> by_ip_;
  std::minstd_rand random_;  // spreads the questions over time
  std::thread thread_;
};

}  // namespace millrace::controller
