// Watches of the cpprestsdk transport and the REST client against a server that behaves badly in every way we know of.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <sstream>

#include "operator/kube/client.h"
#include "operator/kube/kubeconfig.h"
#include "tests/operator/kube/scripted_client.h"
#include "tests/operator/kube/scripted_server.h"
#include "tests/support/fault.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using testing::client_of;
using ::testing::HasSubstr;
using testing::pod_json;
using testing::quick;
using testing::ScriptedConnection;
using testing::ScriptedRequest;
using testing::ScriptedServer;
using testing::status_json;
using namespace std::chrono_literals;

std::string event_line(const std::string& type, const std::string& name, int version) {
  return R"({"type":")" + type + R"(","object":)" + pod_json(name, version) + "}\n";
}

struct Watched {
  WatchOutcome outcome;
  std::vector<std::string> events;  // "ADDED a 5"
};

std::string short_name(EventType type) {
  switch (type) {
    case EventType::kAdded:
      return "ADDED";
    case EventType::kModified:
      return "MODIFIED";
    case EventType::kDeleted:
      return "DELETED";
    case EventType::kBookmark:
      break;
  }
  return "BOOKMARK";
}

Watched watch_pods(Client& client, std::stop_token stop = {}) {
  Watched watched;
  WatchOptions options;
  options.ns = "default";
  options.resource_version = "1";
  watched.outcome = client.watch(
      kPod, options,
      [&](WatchEvent&& event) {
        watched.events.push_back(short_name(event.type) + " " + event.object.name() + " " +
                                 event.object.resource_version());
      },
      std::move(stop));
  return watched;
}

// A server that answers every watch with `script`, and what the client made of it.
Watched watch_against(const std::function<void(ScriptedConnection&)>& script) {
  ScriptedServer server([&](ScriptedConnection& connection, const ScriptedRequest&, int) { script(connection); });
  return watch_pods(*client_of(server));
}

TEST(ClientWatch, DeliversEventsWhereverTheChunksAreCut) {
  const std::string stream = event_line("ADDED", "a", 2) + event_line("MODIFIED", "a", 3) +
                             event_line("DELETED", "a", 4) + event_line("BOOKMARK", "", 9);
  for (const std::size_t piece : {1UL, 7UL, 64UL, 100'000UL}) {
    const Watched watched = watch_against([&](ScriptedConnection& connection) {
      connection.begin_chunks();
      for (std::size_t at = 0; at < stream.size(); at += piece) connection.chunk(stream.substr(at, piece));
      connection.end_chunks();
    });
    EXPECT_EQ(watched.outcome.end, WatchEnd::kClosed) << piece;
    EXPECT_THAT(watched.events, ::testing::ElementsAre("ADDED a 2", "MODIFIED a 3", "DELETED a 4", "BOOKMARK  9"));
  }
}

TEST(ClientWatch, DeliversAnEventBeforeTheNextOneIsSent) {
  std::mutex mutex;
  std::condition_variable changed;
  int seen = 0;
  ScriptedServer server([&](ScriptedConnection& connection, const ScriptedRequest&, int) {
    connection.begin_chunks();
    for (int i = 1; i <= 3; ++i) {
      connection.chunk(event_line("ADDED", "p" + std::to_string(i), i));
      std::unique_lock lock(mutex);
      if (!changed.wait_for(lock, 5s, [&] { return seen >= i; })) return connection.cut();
    }
    connection.end_chunks();
  });
  const auto client = client_of(server);
  WatchOptions options;
  options.resource_version = "1";
  const WatchOutcome outcome = client->watch(kPod, options,
                                             [&](WatchEvent&&) {
                                               const std::lock_guard lock(mutex);
                                               ++seen;
                                               changed.notify_all();
                                             },
                                             {});
  EXPECT_EQ(outcome.end, WatchEnd::kClosed);
  EXPECT_EQ(seen, 3);
}

TEST(ClientWatch, AsksForBookmarksAndTheVersionItWasGiven) {
  ScriptedServer server([](ScriptedConnection& connection, const ScriptedRequest&, int) {
    connection.begin_chunks();
    connection.end_chunks();
  });
  const auto client = client_of(server);
  WatchOptions options;
  options.ns = "team-a";
  options.label_selector = "millrace.dev/deployment in (a,b)";
  options.resource_version = "77";
  options.timeout = 301s;
  client->watch(kModelDeployment, options, [](WatchEvent&&) {}, {});
  EXPECT_EQ(server.requests().at(0).target,
            "/apis/millrace.dev/v1alpha1/namespaces/team-a/modeldeployments?watch=true&allowWatchBookmarks=true"
            "&resourceVersion=77&timeoutSeconds=301&labelSelector=millrace.dev%2Fdeployment%20in%20%28a%2Cb%29");
}

TEST(ClientWatch, ReportsATooOldVersionAnsweredAsStatus) {
  const Watched watched = watch_against([](ScriptedConnection& connection) {
    connection.respond(410, status_json(410, "Expired", "too old resource version: 1 (5)"));
  });
  EXPECT_EQ(watched.outcome.end, WatchEnd::kExpired);
  EXPECT_EQ(watched.outcome.error->code(), Code::kGone);
}

TEST(ClientWatch, ReportsATooOldVersionSentAsErrorEvent) {
  const Watched watched = watch_against([](ScriptedConnection& connection) {
    connection.begin_chunks();
    connection.chunk(event_line("ADDED", "a", 2));
    connection.chunk(R"({"type":"ERROR","object":)" + status_json(410, "Expired", "too old resource version") + "}\n");
    connection.wait_until_peer_leaves();
  });
  EXPECT_EQ(watched.outcome.end, WatchEnd::kExpired);
  EXPECT_THAT(watched.events, ::testing::ElementsAre("ADDED a 2"));
}

TEST(ClientWatch, ReportsAnInternalErrorInsideTheStream) {
  const Watched watched = watch_against([](ScriptedConnection& connection) {
    connection.begin_chunks();
    connection.chunk(R"({"type":"ERROR","object":)" +
                     status_json(500, "InternalError", "etcd event received with PrevKv=nil") + "}\n");
    connection.end_chunks();
  });
  EXPECT_EQ(watched.outcome.end, WatchEnd::kFailed);
  EXPECT_EQ(watched.outcome.error->code(), Code::kUnavailable);
  EXPECT_EQ(watched.outcome.error->status(), 500);
  EXPECT_THAT(watched.outcome.error->what(), HasSubstr("PrevKv=nil"));
}

TEST(ClientWatch, PassesOnHowLongABusyServerWantsToBeLeftAlone) {
  const Watched watched = watch_against([](ScriptedConnection& connection) {
    connection.respond(429, status_json(429, "TooManyRequests", "slow down"), "Retry-After: 7\r\n");
  });
  EXPECT_EQ(watched.outcome.end, WatchEnd::kFailed);
  EXPECT_EQ(watched.outcome.error->code(), Code::kResourceExhausted);
  EXPECT_EQ(watched.outcome.error->retry_after(), 7s);
}

TEST(ClientWatch, ReportsAConnectionCutInTheMiddleOfALine) {
  const Watched watched = watch_against([](ScriptedConnection& connection) {
    connection.begin_chunks();
    connection.chunk(event_line("ADDED", "a", 2));
    connection.chunk(R"({"type":"ADDED","obj)");
    connection.cut();
  });
  EXPECT_EQ(watched.outcome.end, WatchEnd::kFailed);
  EXPECT_EQ(watched.outcome.error->code(), Code::kUnavailable);
  EXPECT_THAT(watched.events, ::testing::ElementsAre("ADDED a 2"));
}

// Established connections to this port for which the kernel has a keep-alive timer.
int kept_alive_connections(const std::string& port) {
  std::ifstream table("/proc/net/tcp");
  char wanted[16];
  std::snprintf(wanted, sizeof wanted, ":%04X", std::stoi(port));
  int count = 0;
  for (std::string line; std::getline(table, line);) {
    std::istringstream columns(line);
    std::string number, local, remote, state, queues, timer;
    columns >> number >> local >> remote >> state >> queues >> timer;
    count += remote.ends_with(wanted) && state == "01" && timer.starts_with("02:") ? 1 : 0;
  }
  return count;
}

TEST(ClientWatch, LetsTheKernelFindOutThatAServerHasVanished) {
  std::atomic<int> kept_alive = 0;
  const ScriptedServer server([&](ScriptedConnection& connection, const ScriptedRequest& request, int) {
    const std::string host = request.header("Host");
    connection.begin_chunks();
    connection.chunk(event_line("ADDED", "a", 2));
    kept_alive = kept_alive_connections(host.substr(host.rfind(':') + 1));
    connection.end_chunks();
  });
  client_of(server)->watch(kPod, {}, [](WatchEvent&&) {}, {});
  EXPECT_EQ(kept_alive, 1);
}

TEST(ClientWatch, NoticesThatTheServerKnowsNothingOfTheConnectionAnyMore) {
  std::atomic<bool> vanished = false;
  const ScriptedServer server([&](ScriptedConnection& connection, const ScriptedRequest&, int) {
    connection.begin_chunks();
    connection.chunk(event_line("ADDED", "a", 2));
    vanished = connection.vanish();
    if (!vanished) connection.cut();
  });
  ClientOptions options = quick();
  options.silence_limit = 60s;  // which is not what ends it
  const Watched watched = watch_pods(*client_of(server, options));
  if (!vanished) GTEST_SKIP() << "needs the right to repair connections (CAP_NET_ADMIN)";
  EXPECT_EQ(watched.outcome.end, WatchEnd::kFailed);
  EXPECT_EQ(watched.outcome.error->code(), Code::kUnavailable);
  EXPECT_THAT(watched.events, ::testing::ElementsAre("ADDED a 2"));
}

TEST(ClientWatch, GivesUpAConnectionThatIsSilentLongerThanBookmarksAllow) {
  const Watched watched = watch_against([](ScriptedConnection& connection) {
    connection.begin_chunks();
    connection.chunk(event_line("ADDED", "a", 2));
    EXPECT_TRUE(connection.wait_until_peer_leaves());  // the client closes; nothing else ends this
  });
  EXPECT_EQ(watched.outcome.end, WatchEnd::kFailed);
  EXPECT_EQ(watched.outcome.error->code(), Code::kDeadlineExceeded);
  EXPECT_THAT(watched.events, ::testing::ElementsAre("ADDED a 2"));
}

TEST(ClientWatch, GivesUpAServerThatNeverSendsHeaders) {
  ClientOptions options = quick();
  options.request_limit = 200ms;
  ScriptedServer server(
      [](ScriptedConnection& connection, const ScriptedRequest&, int) { connection.wait_until_peer_leaves(); });
  const Watched watched = watch_pods(*client_of(server, options));
  EXPECT_EQ(watched.outcome.end, WatchEnd::kFailed);
  EXPECT_EQ(watched.outcome.error->code(), Code::kDeadlineExceeded);
}

TEST(ClientWatch, CallsBytesThatAreNoEventsByTheirName) {
  for (const std::string garbage : {"<html>not today</html>\n", "{\"type\":\"ADDED\"}\n", "[1,2]\n", "\x01\x02\xff\n",
                                    "{\"type\":\"SURPRISE\",\"object\":{}}\n"}) {
    const Watched watched = watch_against([&](ScriptedConnection& connection) {
      connection.begin_chunks();
      connection.chunk(garbage);
      connection.wait_until_peer_leaves();
    });
    EXPECT_EQ(watched.outcome.end, WatchEnd::kFailed) << garbage;
    EXPECT_EQ(watched.outcome.error->code(), Code::kDataLoss) << garbage;
  }
}

TEST(ClientWatch, SurvivesBrokenChunking) {
  const Watched watched = watch_against([](ScriptedConnection& connection) {
    connection.begin_chunks();
    connection.send("zz\r\nnonsense\r\n");
    connection.cut();
  });
  EXPECT_EQ(watched.outcome.end, WatchEnd::kFailed);
  EXPECT_EQ(watched.outcome.error->code(), Code::kUnavailable);
}

TEST(ClientWatch, StopsAtOnceWhileTheStreamIsSilent) {
  ClientOptions options = quick();
  options.silence_limit = 10min;
  std::stop_source source;
  ScriptedServer server([&](ScriptedConnection& connection, const ScriptedRequest&, int) {
    connection.begin_chunks();
    connection.chunk(event_line("ADDED", "a", 2));
    source.request_stop();
    connection.wait_until_peer_leaves();
  });
  EXPECT_EQ(watch_pods(*client_of(server, options), source.get_token()).outcome.end, WatchEnd::kStopped);
}

TEST(ClientWatch, StopsWithItsClient) {
  std::stop_source source;
  ClientOptions options = quick();
  options.silence_limit = 10min;
  options.stop = source.get_token();
  ScriptedServer server([&](ScriptedConnection& connection, const ScriptedRequest&, int) {
    source.request_stop();
    connection.wait_until_peer_leaves();
  });
  EXPECT_EQ(watch_pods(*client_of(server, options)).outcome.end, WatchEnd::kStopped);
}

TEST(ClientWatch, LetsAnExceptionOfTheHandlerThrough) {
  ScriptedServer server([](ScriptedConnection& connection, const ScriptedRequest&, int) {
    connection.begin_chunks();
    connection.chunk(event_line("ADDED", "a", 2));
    connection.wait_until_peer_leaves();
  });
  const auto client = client_of(server);
  EXPECT_THROW(client->watch(kPod, {}, [](WatchEvent&&) { throw ApiError(Code::kConflict, 0, "", "mine"); }, {}),
               ApiError);
}

}  // namespace
}  // namespace millrace::controller::kube
