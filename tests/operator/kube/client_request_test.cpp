// Requests of the REST client and its transport against a server that behaves badly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <thread>

#include "operator/kube/client.h"
#include "operator/kube/kubeconfig.h"
#include "tests/operator/kube/scripted_client.h"
#include "tests/operator/kube/scripted_server.h"
#include "tests/support/fault.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using testing::client_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::pod_json;
using testing::quick;
using testing::ScriptedConnection;
using testing::ScriptedRequest;
using testing::ScriptedServer;
using testing::status_json;
using namespace std::chrono_literals;

TEST(ClientRequest, RepeatsAReadAfterTheConnectionWasCut) {
  ScriptedServer server([](ScriptedConnection& connection, const ScriptedRequest&, int call) {
    if (call < 2) return connection.cut();
    connection.respond(200, pod_json("a", 5));
  });
  EXPECT_EQ(client_of(server)->get(kPod, {"default", "a"})->resource_version(), "5");
}

TEST(ClientRequest, DoesNotRepeatACreateThatMayHaveBeenDone) {
  ScriptedServer server([](ScriptedConnection& connection, const ScriptedRequest&, int) { connection.cut(); });
  const auto client = client_of(server);
  try {
    client->create(kPod, Object(kPod, {"default", "a"}));
    FAIL();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.code(), Code::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr(server.url()));
  }
  EXPECT_EQ(server.calls(), 1);
}

TEST(ClientRequest, RepeatsACreateThatABusyServerTurnedAway) {
  ScriptedServer server([](ScriptedConnection& connection, const ScriptedRequest&, int call) {
    if (call == 0) return connection.respond(429, status_json(429, "TooManyRequests", "busy"), "Retry-After: 0\r\n");
    connection.respond(201, pod_json("a", 5));
  });
  EXPECT_EQ(client_of(server)->create(kPod, Object(kPod, {"default", "a"})).resource_version(), "5");
}

TEST(ClientRequest, SurvivesAServerThatClosesIdleConnections) {
  ScriptedServer server([](ScriptedConnection& connection, const ScriptedRequest&, int) {
    connection.respond(200, pod_json("a", 5));
    connection.cut();  // keep-alive was promised
  });
  const auto client = client_of(server);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(client->get(kPod, {"default", "a"}));
}

TEST(ClientRequest, EndsAfterItsLimitHoweverSlowlyBytesDripIn) {
  ClientOptions options = quick();
  options.request_limit = 300ms;
  ScriptedServer server([](ScriptedConnection& connection, const ScriptedRequest&, int) {
    connection.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n");
    while (!connection.is_cut()) {
      connection.send("x");
      std::this_thread::sleep_for(5ms);  // the drip itself
    }
  });
  try {
    client_of(server, options)->get(kPod, {"default", "a"});
    FAIL();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.code(), Code::kDeadlineExceeded);
  }
}

TEST(ClientRequest, AListMayHaveALimitOfItsOwn) {
  ClientOptions options = quick();
  options.request_limit = 10min;
  ScriptedServer server(
      [](ScriptedConnection& connection, const ScriptedRequest&, int) { connection.wait_until_peer_leaves(); });
  ListOptions list;
  list.limit = 200ms;
  const auto fault = test::fault_of([&] { client_of(server, options)->list(kPod, list); });
  EXPECT_EQ(fault.code, Code::kDeadlineExceeded);
}

TEST(ClientRequest, StopsAtOnceWhileItWaitsForTheAnswer) {
  std::stop_source source;
  ClientOptions options = quick();
  options.request_limit = 10min;
  options.stop = source.get_token();
  ScriptedServer server([&](ScriptedConnection& connection, const ScriptedRequest&, int) {
    source.request_stop();
    connection.wait_until_peer_leaves();
  });
  const auto fault = test::fault_of([&] { client_of(server, options)->get(kPod, {"default", "a"}); });
  EXPECT_EQ(fault.code, Code::kCancelled);
}

TEST(ClientRequest, NamesTheServerThatCannotBeReached) {
  ClusterConfig config;
  {
    const ScriptedServer gone([](ScriptedConnection&, const ScriptedRequest&, int) {});
    config.server = gone.url();
  }
  config.origin = "context dev of /etc/kc";
  try {
    connect(config, quick())->get(kPod, {"default", "a"});
    FAIL();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.code(), Code::kUnavailable);
    EXPECT_THAT(error.what(), ::testing::AllOf(HasSubstr(config.server), HasSubstr("context dev of /etc/kc")));
  }
}

TEST(ClientRequest, SaysSoWhenTheAnswerIsNotFromAnApiServer) {
  ScriptedServer server([](ScriptedConnection& connection, const ScriptedRequest&, int) {
    connection.respond(200, "<html>welcome</html>");
  });
  try {
    client_of(server)->get(kPod, {"default", "a"});
    FAIL();
  } catch (const ApiError& error) {
    EXPECT_THAT(error.what(), HasSubstr("is this address a Kubernetes API server?"));
  }
}

TEST(ClientRequest, ReadsItsTokenFileAgainAfterA401) {
  const auto file = std::filesystem::path(::testing::TempDir()) / "kube_client_wire_token";
  const auto write_token = [&](const std::string& token) { std::ofstream(file) << token << "\n"; };
  write_token("old");
  ScriptedServer server([&](ScriptedConnection& connection, const ScriptedRequest& request, int) {
    if (request.header("Authorization") == "Bearer new") return connection.respond(200, pod_json("a", 5));
    write_token("new");
    connection.respond(401, status_json(401, "Unauthorized", "Unauthorized"));
  });
  ClusterConfig config;
  config.server = server.url();
  config.token_file = file;
  EXPECT_TRUE(connect(config, quick())->get(kPod, {"default", "a"}));
  std::filesystem::remove(file);
}

TEST(ClientRequest, AppliesTogetherSideBySide) {
  std::mutex mutex;
  std::condition_variable changed;
  int came = 0;
  ScriptedServer server([&](ScriptedConnection& connection, const ScriptedRequest&, int) {
    std::unique_lock lock(mutex);
    ++came;
    changed.notify_all();
    if (!changed.wait_for(lock, 10s, [&] { return came == 2; })) return connection.cut();
    connection.respond(200, pod_json("a", 5));
  });
  const auto client = client_of(server);
  const std::vector<std::exception_ptr> errors =
      client->apply_each(kPod, {{Object(kPod, {"default", "a"})}, {Object(kPod, {"default", "b"})}});
  EXPECT_THAT(errors, ElementsAre(nullptr, nullptr));
  EXPECT_EQ(server.calls(), 2);
}

TEST(ClientRequest, ServesManyThreadsAtOnce) {
  ScriptedServer server(
      [](ScriptedConnection& connection, const ScriptedRequest&, int) { connection.respond(200, pod_json("a", 5)); });
  const auto client = client_of(server);
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 25; ++j) good += client->get(kPod, {"default", "a"}).has_value() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 200);
}

}  // namespace
}  // namespace millrace::controller::kube
