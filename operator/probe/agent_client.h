// The operator's side of common/agent_api.h, as the prober needs it: it never waits, so that thousands of agents can be
// asked at a time, and an agent that is silent delays no other.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "common/agent_api.h"
#include "common/http_pool.h"
#include "operator/probe/agent_access.h"

namespace millrace::controller {

struct StatusAnswer {
  std::optional<common::AgentStatus> status;  // empty: word for word what `digest` was given for; or there is an error
  std::uint64_t digest = 0;                   // of this answer; never 0
  std::string error;                          // why there is no answer
  bool watched =
      false;  // the connection stays open, and on_lost() tells when it ends, also when the agent falls silent
};

// Any thread. Calls return at once; what they are given to call is called once, on any thread, perhaps before they
// return. An error is empty when all went well.
class AgentClient {
 public:
  using Done = std::function<void(const std::string& error)>;
  // `silent_for`: how long the agent had been silent by then; 0: it closed the connection itself.
  using Lost = std::function<void(const std::string& ip, std::chrono::milliseconds silent_for)>;

  virtual ~AgentClient() = default;

  // `known`: the digest of the last answer; 0: none.
  virtual void status(const AgentAddress& agent, std::uint64_t known, std::function<void(StatusAnswer)> done) = 0;
  virtual void set_group(const AgentAddress& agent, const common::GroupMembership& membership, Done done) = 0;
  virtual void drain(const AgentAddress& agent, Done done) = 0;
  virtual void forget(const AgentAddress& agent) = 0;  // it will not be asked again

  // Replaces what is told of connections that end; the former is not called any more when this returns.
  virtual void on_lost(Lost lost) = 0;
};

class HttpAgentClient final : public AgentClient {
 public:
  // The stop ends every call, in flight or to come.
  explicit HttpAgentClient(std::stop_token stop = {}, std::chrono::milliseconds limit = std::chrono::milliseconds(500));

  void status(const AgentAddress& agent, std::uint64_t known, std::function<void(StatusAnswer)> done) override;
  void set_group(const AgentAddress& agent, const common::GroupMembership& membership, Done done) override;
  void drain(const AgentAddress& agent, Done done) override;
  void forget(const AgentAddress& agent) override;
  void on_lost(Lost lost) override;

  const common::HttpPool& connections() const { return pool_; }

 private:
  common::HttpPoolOptions pool_options(std::stop_token stop);
  using Answered = std::function<void(const common::HttpCall& asked, common::HttpResult result)>;

  void send(AgentAddress agent, const std::string& method, const std::string& target, const std::string& body,
            Answered done);
  void tell(const AgentAddress& agent, const std::string& method, const std::string& target, const std::string& body,
            Done done);

  const common::AgentCallLimits limits_;
  std::mutex mutex_;  // held while `lost_` is called
  Lost lost_;
  common::HttpPool pool_;  // last: its thread uses the others
};

}  // namespace millrace::controller
