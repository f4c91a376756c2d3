// A whole agent on loopback sockets, with a fake engine.
#include "agent/agent.h"

#include <gmock/gmock.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <future>

#include "agent/drain_hook.h"
#include "common/error.h"
#include "common/http_client.h"
#include "tests/agent/api_fixture.h"
#include "tests/paths.h"
#include "tests/support/certificates.h"
#include "tests/support/mounted_secret.h"

namespace millrace::agent {
namespace {

using common::http_call;
using common::http_stream;
using common::HttpCall;
using common::HttpResponse;

struct AgentFixture {
  explicit AgentFixture(FakeEngine::Script script, std::int32_t max_num_seqs = 4, std::int32_t max_queued = 4,
                        AgentOptions options = {}, std::shared_ptr<const common::TlsClient> trusting = nullptr)
      : tls(std::move(trusting)) {
    options.config.port = 0;
    options.config.admin_port = 0;
    options.config.max_num_seqs = max_num_seqs;
    options.config.max_queued_requests = max_queued;
    options.model_directory = MILLRACE_SOURCE_DIR "/examples/models/tiny-moe";
    options.bind = "127.0.0.1";
    if (!options.admin_token) options.admin_token = "admin";
    options.standalone =
        common::GroupMembership{.generation = 1, .group = "g", .peers = {{.pod_index = 0, .host = "127.0.0.1"}}};
    GroupRuntime runtime{.connect = [](const auto&) { return Comms{}; },
                         .start =
                             [this, script](const auto&, const auto&, Comms) {
                               auto made = std::make_unique<FakeEngine>(script);
                               engine.set_value(made.get());
                               return made;
                             },
                         .follow = nullptr};
    agent = std::make_unique<Agent>(options, std::move(runtime));
    fake = engine.get_future().get();
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (admin("GET", "/readyz").status != 200 && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
  }

  HttpResponse admin(const std::string& method, const std::string& path, const std::string& token = "admin") {
    return http_call({.host = "127.0.0.1",
                      .port = agent->admin_port(),
                      .method = method,
                      .target = path,
                      .headers = {{"Authorization", "Bearer " + token}},
                      .tls = tls});
  }
  HttpCall chat(const json& more = json::object()) {
    json body = chat_body("Hi", more);
    body.erase("model");  // the fixture's is named after its folder
    return {.host = "127.0.0.1",
            .port = agent->port(),
            .method = "POST",
            .target = "/v1/chat/completions",
            .body = body.dump(),
            .timeout = kPatience,
            .tls = tls};
  }
  std::string metrics() { return admin("GET", "/metrics").body; }
  json status() { return json::parse(admin("GET", "/admin/v1/status").body); }
  bool wait_until_idle() {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (status()["in_flight"] != 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    return status()["in_flight"] == 0;
  }

  const std::shared_ptr<const common::TlsClient> tls;  // null: plain HTTP
  std::promise<FakeEngine*> engine;
  FakeEngine* fake = nullptr;
  std::unique_ptr<Agent> agent;
};

AgentOptions taking_late(std::chrono::milliseconds late) {
  AgentOptions options;
  options.late_requests = {late, late};
  return options;
}

TEST(Agent, StreamsAnAnswerOverASocket) {
  AgentFixture f(says("Hello there."));
  std::string body;
  const auto response = http_stream(f.chat({{"stream", true}}), [&](std::string_view piece) {
    body += piece;
    return true;
  });
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(body.ends_with("data: [DONE]\n\n"));
  EXPECT_TRUE(f.wait_until_idle());
  EXPECT_EQ(json::parse(http_call(f.chat()).body)["model"], "tiny-moe") << "the folder's name, without a configuration";
}

constexpr const char* kServerName = "chat.prod.svc";

// A certificate for an agent, and the authority behind it.
struct Certified {
  AgentOptions with(AgentOptions options) const {
    options.tls = common::TlsServerFiles{secret.file("tls.crt"), secret.file("tls.key"), std::chrono::milliseconds(0)};
    return options;
  }

  const test::CertificateAuthority authority;
  test::MountedSecret secret{authority.issue(kServerName)};
};

std::shared_ptr<const common::TlsClient> trusting(const test::CertificateAuthority& authority) {
  return common::make_tls_client({.ca_pem = authority.pem(), .server_name = kServerName});
}

TEST(Agent, ServesBothPortsOverTlsToAClientThatTrustsItsAuthority) {
  const Certified tls;
  AgentFixture f(says("Hello there."), 4, 4, tls.with({}), trusting(tls.authority));
  EXPECT_EQ(json::parse(http_call(f.chat()).body)["model"], "tiny-moe");
  EXPECT_EQ(f.status()["phase"], "Serving");
  HttpCall plain = f.chat();
  plain.tls = nullptr;
  EXPECT_THROW(http_call(plain), common::Error);
  const test::CertificateAuthority other;
  HttpCall wary = f.chat();
  wary.tls = trusting(other);
  EXPECT_THROW(http_call(wary), common::Error);
}

TEST(Agent, TellsWhenItsCertificateEnds) {
  const std::string series = "millrace_tls_certificate_expiry_timestamp_seconds{";
  Certified tls;
  AgentFixture f(says("x"), 4, 4, tls.with({}), trusting(tls.authority));
  const std::string text = f.metrics();
  const auto found = text.find("\n" + series);
  ASSERT_NE(found, std::string::npos) << text;
  const double end = std::stod(text.substr(text.find("} ", found) + 2));
  const auto told = common::certificate_end(tls.secret.file("tls.crt"));
  EXPECT_EQ(end, std::chrono::duration<double>(told.time_since_epoch()).count());
  EXPECT_GT(told, std::chrono::system_clock::now());

  tls.secret.replace({{"tls.crt", "nonsense"}, {"tls.key", "nonsense"}});
  EXPECT_EQ(f.metrics().find(series), std::string::npos) << "nothing is known";
  AgentFixture plain(says("x"));
  EXPECT_EQ(plain.metrics().find(series), std::string::npos);
}

TEST(Agent, TakesANewAdminTokenWhileItServesAndTheOldOneUntilThatIsGone) {
  test::MountedSecret secret;
  secret.replace({{"token", "old"}});
  AgentOptions options;
  options.admin_token = common::AccessToken::from_file(secret.file("token"), std::chrono::milliseconds(0));
  AgentFixture f(says("one two three"), 4, 4, options);
  f.fake->hold_after(1);
  auto running = std::async(std::launch::async, [&] { return http_call(f.chat()); });
  ASSERT_TRUE(f.fake->wait_for_requests(1));
  const auto accepts = [&](const std::string& token) {
    return f.admin("GET", "/admin/v1/status", token).status == 200;
  };
  EXPECT_TRUE(accepts("old"));
  EXPECT_FALSE(accepts("new"));
  secret.replace({{"token", "new"}, {"previous", "old"}});
  EXPECT_TRUE(accepts("new"));
  EXPECT_TRUE(accepts("old"));
  secret.replace({{"token", "new"}});
  EXPECT_TRUE(accepts("new"));
  EXPECT_FALSE(accepts("old"));
  f.fake->release();
  EXPECT_EQ(running.get().status, 200);
}

TEST(Agent, AnswersOverloadWithoutWaitingForTheEngine) {
  AgentFixture f(says("x"), 1, 0);
  f.fake->hold_after(0);
  auto first = std::async(std::launch::async, [&] { return http_call(f.chat()); });
  ASSERT_TRUE(f.fake->wait_for_requests(1));
  const auto refused = http_call(f.chat());
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(common::find_header(refused.headers, "Retry-After"), "1");
  f.fake->release();
  EXPECT_EQ(first.get().status, 200);
}

TEST(Agent, AnswersOverloadWhileTheEngineHangs) {
  AgentFixture f(says("x"), 2, 1);
  f.fake->block();
  std::vector<std::future<HttpResponse>> accepted;
  for (int i = 0; i < 3; ++i) accepted.push_back(std::async(std::launch::async, [&] { return http_call(f.chat()); }));
  ASSERT_TRUE(f.fake->wait_for_blocked(2)) << "as many as the threads that submit";
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (f.status()["in_flight"] != 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  for (int i = 0; i < 20; ++i) {
    const auto refused = http_call(f.chat());
    EXPECT_EQ(refused.status, 429);
    EXPECT_EQ(common::find_header(refused.headers, "Retry-After"), "1");
  }
  f.fake->release();
  for (auto& answer : accepted) EXPECT_EQ(answer.get().status, 200);
}

TEST(Agent, AClientThatHangsUpFreesItsPlace) {
  AgentFixture f(says("one two three"));
  f.fake->hold_after(1);
  http_stream(f.chat({{"stream", true}}), [](std::string_view) { return false; });
  EXPECT_TRUE(f.fake->wait_for_cancel());
  EXPECT_TRUE(f.wait_until_idle());
}

TEST(Agent, AClientThatHangsUpBeforeTheFirstTokenFreesItsPlace) {
  AgentFixture f(says("one two three"));
  f.fake->hold_after(0);
  {
    HttpCall call = f.chat();
    call.timeout = std::chrono::milliseconds(200);
    EXPECT_THROW(http_call(call), common::Error);
  }
  EXPECT_TRUE(f.fake->wait_for_cancel());
  EXPECT_TRUE(f.wait_until_idle());
}

TEST(Agent, ADrainTakesWhatRoutersStillSend) {
  AgentFixture f(says("x"), 4, 4, taking_late(kPatience));
  ASSERT_EQ(f.admin("POST", "/admin/v1/drain").status, 200);
  EXPECT_EQ(f.admin("GET", "/readyz").status, 503);
  const auto late = http_call(f.chat());
  EXPECT_EQ(late.status, 200);
  EXPECT_EQ(common::find_header(late.headers, "Connection"), "close") << "the next one shall go elsewhere";
}

// The options with which a hook in the pod of `agent` finds it.
AgentOptions beside(const Agent& agent) {
  AgentOptions options;
  options.bind = "127.0.0.1";
  options.config.admin_port = agent.admin_port();
  options.admin_token = "admin";
  return options;
}

TEST(Agent, IsDrainedByAHookThatWaitsUntilItTakesNoMore) {
  AgentFixture f(says("x"), 4, 4, taking_late(std::chrono::milliseconds(50)));
  EXPECT_EQ(f.status()["accepting"], true);
  drain_and_wait(beside(*f.agent), kPatience);
  EXPECT_EQ(f.status()["phase"], "Draining");
  EXPECT_EQ(f.status()["accepting"], false);
  EXPECT_EQ(http_call(f.chat()).status, 503);
  drain_and_wait(beside(*f.agent), std::chrono::milliseconds(0));  // nothing is left to wait for
}

TEST(Agent, IsDrainedByAHookOverTls) {
  const Certified tls;
  const AgentOptions options = tls.with(taking_late(std::chrono::milliseconds(0)));
  AgentFixture f(says("x"), 4, 4, options, trusting(tls.authority));
  AgentOptions hook = beside(*f.agent);
  EXPECT_THROW(drain_and_wait(hook, kPatience), common::Error) << "plain HTTP";
  hook.tls = options.tls;
  drain_and_wait(hook, kPatience);
  EXPECT_EQ(f.status()["phase"], "Draining");
}

TEST(Agent, AHookThatIsRefusedOrWaitsInVainSaysSo) {
  AgentFixture f(says("x"), 4, 4, taking_late(kPatience));
  AgentOptions hook = beside(*f.agent);
  hook.admin_token = "wrong";
  EXPECT_THAT([&] { drain_and_wait(hook, kPatience); },
              testing::ThrowsMessage<common::Error>(testing::HasSubstr("/admin/v1/drain at 127.0.0.1 answered 401")));
  EXPECT_THAT([&] { drain_and_wait(beside(*f.agent), std::chrono::milliseconds(1)); },
              testing::ThrowsMessage<common::Error>(testing::HasSubstr("still takes requests")));
}

TEST(Agent, DrainFinishesWhatRunsAndRefusesTheRest) {
  AgentFixture f(says("x"), 4, 4, taking_late(std::chrono::milliseconds(0)));
  f.fake->hold_after(0);
  auto running = std::async(std::launch::async, [&] { return http_call(f.chat()); });
  ASSERT_TRUE(f.fake->wait_for_requests(1));
  EXPECT_EQ(json::parse(f.admin("POST", "/admin/v1/drain").body)["in_flight"], 1);
  const auto refused = http_call(f.chat());
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(common::find_header(refused.headers, "Connection"), "close");
  EXPECT_EQ(f.admin("GET", "/readyz").status, 503);
  EXPECT_EQ(f.admin("GET", "/livez").status, 200);
  f.fake->release();
  EXPECT_EQ(running.get().status, 200);
  EXPECT_TRUE(f.wait_until_idle());
}

TEST(Agent, StopsWhenTheRunningRequestsAreDone) {
  AgentFixture f(says("x"));
  f.fake->hold_after(0);
  auto running = std::async(std::launch::async, [&] { return http_call(f.chat()); });
  ASSERT_TRUE(f.fake->wait_for_requests(1));
  auto stopped = std::async(std::launch::async, [&] { f.agent->stop(kPatience); });
  f.fake->release();
  EXPECT_EQ(running.get().status, 200);
  stopped.get();
}

TEST(Agent, CutsOffWhatOutlastsTheGrace) {
  AgentFixture f(says("x"));
  f.fake->hold_after(0);
  auto running = std::async(std::launch::async, [&] {
    try {
      return http_call(f.chat()).status;
    } catch (const common::Error&) {
      return 0;
    }
  });
  ASSERT_TRUE(f.fake->wait_for_requests(1));
  f.agent->stop(std::chrono::milliseconds(50));
  EXPECT_NE(running.get(), 200);
}

TEST(Agent, AFailedGroupFailsItsRequestsAndItsReadiness) {
  AgentFixture f(says("x"));
  f.fake->hold_after(0);
  auto running = std::async(std::launch::async, [&] { return http_call(f.chat()); });
  ASSERT_TRUE(f.fake->wait_for_requests(1));
  f.fake->fail("rank 1 is gone");
  const auto response = running.get();
  EXPECT_EQ(response.status, 503);
  EXPECT_THAT(response.body, testing::HasSubstr("rank 1 is gone"));
  EXPECT_EQ(f.admin("GET", "/readyz").status, 503);
  EXPECT_EQ(f.status()["phase"], "Failed");
}

TEST(Agent, SaysWhatIsWrongWithAModelFolder) {
  AgentOptions options;
  options.model_directory = "/nonexistent";
  try {
    Agent agent(options, GroupRuntime{});
    FAIL();
  } catch (const common::Error& error) {
    EXPECT_STREQ(error.what(), "the model folder /nonexistent does not exist");
  }
}

}  // namespace
}  // namespace millrace::agent
