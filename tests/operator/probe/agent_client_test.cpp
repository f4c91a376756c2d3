#include "operator/probe/agent_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <condition_variable>
#include <future>
#include <nlohmann/json.hpp>

#include "common/agent_config.h"
#include "common/descriptor_limit.h"
#include "common/http_server.h"
#include "operator/probe/prober.h"
#include "tests/support/certificates.h"
#include "tests/support/mounted_secret.h"

namespace millrace::controller {
namespace {

namespace net = boost::asio;
using common::AgentPhase;
using common::HttpReply;
using common::HttpRequest;
using common::HttpResponse;
using ::testing::HasSubstr;

constexpr std::chrono::seconds kLimit{60};  // only against hanging
constexpr const char* kToken = "t";

// An agent without an engine, on a port or address of its own.
class PlayedAgent {
 public:
  explicit PlayedAgent(common::HttpServerOptions options = {})
      : server_(std::move(options), [this](const HttpRequest& request) { return answer(request); }) {}

  AgentAddress address() const { return {"127.0.0.1", server_.port(), kToken}; }
  void set(const common::AgentStatus& status) {
    const std::lock_guard lock(mutex_);
    status_ = status;
  }
  int asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  bool wait_until_asked(int times) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLimit, [&] { return asked_ >= times; });
  }
  std::string last_request() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }
  void stop() { server_.stop(std::chrono::milliseconds(0)); }

 private:
  HttpReply answer(const HttpRequest& request) {
    const std::lock_guard lock(mutex_);
    ++asked_;
    last_ = request.method + " " + request.path;
    changed_.notify_all();
    if (request.header("authorization") != "Bearer " + std::string(kToken))
      return HttpResponse{.status = 401, .body = "who?"};
    return HttpResponse{.body = nlohmann::json(status_).dump()};
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  common::AgentStatus status_;
  int asked_ = 0;
  std::string last_;
  common::HttpServer server_;
};

common::AgentStatus serving(std::int64_t in_flight) {
  common::AgentStatus status;
  status.phase = AgentPhase::kServing;
  status.generation = 3;
  status.in_flight = in_flight;
  return status;
}

StatusAnswer ask(HttpAgentClient& client, const AgentAddress& agent, std::uint64_t known = 0) {
  std::promise<StatusAnswer> promise;
  client.status(agent, known, [&](StatusAnswer answer) { promise.set_value(std::move(answer)); });
  return promise.get_future().get();
}

TEST(HttpAgentClient, ReadsAStatusOnlyWhenItIsNew) {
  PlayedAgent agent;
  agent.set(serving(0));
  HttpAgentClient client({}, std::chrono::minutes(1));
  const StatusAnswer first = ask(client, agent.address());
  ASSERT_TRUE(first.status) << first.error;
  EXPECT_EQ(first.status->generation, 3);
  EXPECT_TRUE(first.watched);
  const StatusAnswer same = ask(client, agent.address(), first.digest);
  EXPECT_FALSE(same.status);
  EXPECT_EQ(same.error, "");
  EXPECT_EQ(same.digest, first.digest);
  agent.set(serving(1));
  EXPECT_EQ(ask(client, agent.address(), first.digest).status->in_flight, 1);
  EXPECT_EQ(client.connections().connects(), 1U);
}

TEST(HttpAgentClient, TellsAgentsOverTheSameConnection) {
  PlayedAgent agent;
  HttpAgentClient client({}, std::chrono::minutes(1));
  ask(client, agent.address());
  std::promise<std::string> taken;
  client.set_group(agent.address(), {}, [&](const std::string& error) { taken.set_value(error); });
  EXPECT_EQ(taken.get_future().get(), "");
  EXPECT_EQ(agent.last_request(), "PUT /admin/v1/group");
  std::promise<std::string> drained;
  client.drain(agent.address(), [&](const std::string& error) { drained.set_value(error); });
  EXPECT_EQ(drained.get_future().get(), "");
  EXPECT_EQ(agent.last_request(), "POST /admin/v1/drain");
  EXPECT_EQ(client.connections().connects(), 1U);
}

TEST(HttpAgentClient, SaysWhoRefusedWhat) {
  PlayedAgent agent;
  HttpAgentClient client({}, std::chrono::minutes(1));
  AgentAddress stranger = agent.address();
  stranger.token = "other";
  const StatusAnswer answer = ask(client, stranger);
  EXPECT_FALSE(answer.status);
  EXPECT_EQ(answer.error, "GET /admin/v1/status at 127.0.0.1 answered 401: who?");
}

TEST(HttpAgentClient, ShowsTheTokenBeforeToAnAgentThatRefusesTheNewOne) {
  PlayedAgent agent;
  agent.set(serving(0));
  HttpAgentClient client({}, std::chrono::minutes(1));
  AgentAddress rotated = agent.address();
  rotated.previous_token = std::exchange(rotated.token, "new");
  const StatusAnswer answer = ask(client, rotated);
  ASSERT_TRUE(answer.status) << answer.error;
  EXPECT_EQ(answer.status->generation, 3);
  EXPECT_EQ(agent.asked(), 2);
  std::promise<std::string> taken;
  client.set_group(rotated, {}, [&](const std::string& error) { taken.set_value(error); });
  EXPECT_EQ(taken.get_future().get(), "");
  EXPECT_EQ(agent.asked(), 4);
  EXPECT_EQ(client.connections().connects(), 1U) << "a refusal costs no connection";
  rotated.previous_token = "older";
  EXPECT_THAT(ask(client, rotated).error, HasSubstr("answered 401"));
}

TEST(HttpAgentClient, AsksOverTlsWhomTheAuthorityVouchesFor) {
  const test::CertificateAuthority authority;
  const test::MountedSecret secret(authority.issue("chat.prod.svc"));
  common::HttpServerOptions options;
  options.tls = common::TlsServerFiles{secret.file("tls.crt"), secret.file("tls.key"), std::chrono::milliseconds(0)};
  PlayedAgent agent(options);
  agent.set(serving(0));
  HttpAgentClient client({}, std::chrono::minutes(1));
  AgentAddress address = agent.address();
  address.tls = common::make_tls_client({.ca_pem = authority.pem(), .server_name = "chat.prod.svc"});
  const StatusAnswer first = ask(client, address);
  ASSERT_TRUE(first.status) << first.error;
  EXPECT_TRUE(first.watched);
  EXPECT_EQ(ask(client, address, first.digest).digest, first.digest);
  EXPECT_EQ(client.connections().connects(), 1U) << "the connection is kept";

  HttpAgentClient stranger({}, std::chrono::minutes(1));
  const test::CertificateAuthority another;
  address.tls = common::make_tls_client({.ca_pem = another.pem(), .server_name = "chat.prod.svc"});
  EXPECT_THAT(ask(stranger, address).error, HasSubstr("certificate verify failed"));
  address.tls = nullptr;
  EXPECT_NE(ask(stranger, address).error, "") << "plain HTTP is not answered";
  EXPECT_EQ(agent.asked(), 2);
}

TEST(HttpAgentClient, TellsThatAnAgentHasGone) {
  HttpAgentClient client({}, std::chrono::minutes(1));
  std::promise<std::string> gone;
  client.on_lost([&](const std::string& ip, std::chrono::milliseconds) { gone.set_value(ip); });
  auto agent = std::make_unique<PlayedAgent>();
  ASSERT_TRUE(ask(client, agent->address()).watched);
  agent.reset();
  auto told = gone.get_future();
  ASSERT_EQ(told.wait_for(kLimit), std::future_status::ready);
  EXPECT_EQ(told.get(), "127.0.0.1");
  client.on_lost({});
}

// Addresses on which connections are taken and nobody ever answers.
class SilentAgents {
 public:
  explicit SilentAgents(int count) {
    common::raise_descriptor_limit();
    for (int i = 0; i < count; ++i) {
      const std::string ip = prefix() + std::to_string(1 + i / 250) + "." + std::to_string(1 + i % 250);
      listeners_.emplace_back(context_, net::ip::tcp::endpoint(net::ip::make_address(ip), common::kDefaultAdminPort));
      ips_.push_back(ip);
    }
  }
  // Tests that run beside this one have other numbers.
  static std::string prefix() { return "127." + std::to_string(100 + getpid() % 100) + "."; }
  const std::vector<std::string>& ips() const { return ips_; }

 private:
  net::io_context context_;
  std::vector<net::ip::tcp::acceptor> listeners_;
  std::vector<std::string> ips_;
};

ProbeGroup group_of_one(const std::string& name, const std::string& ip) {
  ProbeGroup group;
  group.shape = {name, 1, 1, 1};
  group.token = kToken;
  group.pods = {{"uid-" + name, ip, 0}};
  return group;
}

TEST(HttpAgentClient, FiveHundredSilentAgentsDelayNoQuestionToAnother) {
  const SilentAgents silent(500);
  common::HttpServerOptions at;
  at.address = SilentAgents::prefix() + "0.1";
  at.port = common::kDefaultAdminPort;
  PlayedAgent live(at);
  ProberOptions options;
  options.period = std::chrono::milliseconds(20);
  std::vector<ProbeGroup> groups;
  for (const std::string& ip : silent.ips()) groups.push_back(group_of_one("g-" + ip, ip));
  std::stop_source stop;
  HttpAgentClient agents(stop.get_token(), std::chrono::hours(1));  // no question to a silent one ends by itself
  Prober prober(agents, options);
  prober.watch({"default", "silent"}, std::move(groups));
  prober.watch({"default", "live"}, {group_of_one("live", at.address)});
  EXPECT_TRUE(live.wait_until_asked(10));
  for (const std::string& ip : silent.ips()) EXPECT_FALSE(prober.evidence("uid-g-" + ip)->answered);
  stop.request_stop();  // or the prober would wait for its answers
}

}  // namespace
}  // namespace millrace::controller
