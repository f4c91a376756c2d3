#include "operator/probe/agent_client.h"

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "common/error.h"

namespace millrace::controller {
namespace {

using common::Error;
using common::HttpCall;
using common::HttpResult;

std::string body_of(const HttpCall& call, HttpResult& result) {
  if (result.error) throw *result.error;
  return common::accepted_body(call, std::move(result.response));
}

std::uint64_t digest_of(const std::string& body) {
  const std::uint64_t hash = std::hash<std::string_view>()(body);
  return hash == 0 ? 1 : hash;
}

StatusAnswer status_answer(const HttpCall& call, HttpResult& result, std::uint64_t known) {
  StatusAnswer answer;
  try {
    const std::string body = body_of(call, result);
    answer.digest = digest_of(body);
    if (answer.digest != known) answer.status = common::json_from_agent(call.host, body).get<common::AgentStatus>();
    answer.watched = result.kept;
  } catch (const std::exception& error) {
    answer.error = error.what();
  }
  return answer;
}

// What a call without a body of its own keeps of itself for messages.
HttpCall summary_of(const HttpCall& call) {
  HttpCall summary;
  summary.host = call.host;
  summary.method = call.method;
  summary.target = call.target;
  return summary;
}

}  // namespace

HttpAgentClient::HttpAgentClient(std::stop_token stop, std::chrono::milliseconds limit)
    : limits_{stop, limit}, pool_(pool_options(std::move(stop))) {}

common::HttpPoolOptions HttpAgentClient::pool_options(std::stop_token stop) {
  common::HttpPoolOptions options;
  options.stop = std::move(stop);
  options.on_lost = [this](const common::HttpPeer& peer, std::chrono::milliseconds silent_for) {
    const std::lock_guard lock(mutex_);
    if (lost_) lost_(peer.host, silent_for);
  };
  return options;
}

void HttpAgentClient::send(AgentAddress agent, const std::string& method, const std::string& target,
                           const std::string& body, Answered done) {
  HttpCall call = common::agent_request(agent, method, target, body, limits_);
  HttpCall asked = summary_of(call);
  pool_.call(std::move(call), [this, agent = std::move(agent), body, asked = std::move(asked),
                               done = std::move(done)](HttpResult result) mutable {
    if (result.error || result.response.status != 401 || agent.previous_token.empty()) {
      return done(asked, std::move(result));
    }
    agent.token = std::exchange(agent.previous_token, {});  // the agent has not read the new one yet
    send(std::move(agent), asked.method, asked.target, body, std::move(done));
  });
}

void HttpAgentClient::status(const AgentAddress& agent, std::uint64_t known, std::function<void(StatusAnswer)> done) {
  send(agent, "GET", "/admin/v1/status", "", [known, done = std::move(done)](const HttpCall& asked, HttpResult result) {
    done(status_answer(asked, result, known));
  });
}

void HttpAgentClient::set_group(const AgentAddress& agent, const common::GroupMembership& membership, Done done) {
  tell(agent, "PUT", "/admin/v1/group", nlohmann::json(membership).dump(), std::move(done));
}

void HttpAgentClient::drain(const AgentAddress& agent, Done done) {
  tell(agent, "POST", "/admin/v1/drain", "", std::move(done));
}

void HttpAgentClient::tell(const AgentAddress& agent, const std::string& method, const std::string& target,
                           const std::string& body, Done done) {
  send(agent, method, target, body, [done = std::move(done)](const HttpCall& told, HttpResult result) {
    std::string failure;
    try {
      body_of(told, result);
    } catch (const Error& error) {
      failure = error.what();
    }
    done(failure);
  });
}

void HttpAgentClient::forget(const AgentAddress& agent) {
  pool_.forget({agent.ip, agent.admin_port});
}

void HttpAgentClient::on_lost(Lost lost) {
  const std::lock_guard lock(mutex_);
  lost_ = std::move(lost);
}

}  // namespace millrace::controller
