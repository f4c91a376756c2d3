// Watches, informers, electors and events against a real kube-apiserver.
#include <atomic>

#include "operator/kube/events.h"
#include "operator/kube/leader_election.h"
#include "operator/kube/watcher.h"
#include "tests/operator/kube/cluster_fixture.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using namespace std::chrono_literals;

class WatchCluster : public ClusterTest {};

TEST_F(WatchCluster, DeliversEventsAndEndsInGoodOrder) {
  const std::string version = client().list(kConfigMap, {.ns = "default"}).resource_version;
  client().create(kConfigMap, config_map("seen", {{"k", "1"}}));
  client().patch(kConfigMap, {"default", "seen"}, {{"data", {{"k", "2"}}}});
  client().remove(kConfigMap, {"default", "seen"});
  std::vector<EventType> types;
  const WatchOutcome outcome = client().watch(kConfigMap, {.ns = "default", .resource_version = version, .timeout = 2s},
                                              [&](WatchEvent&& event) { types.push_back(event.type); }, {});
  EXPECT_EQ(outcome.end, WatchEnd::kClosed);
  EXPECT_THAT(types, ::testing::ElementsAre(EventType::kAdded, EventType::kModified, EventType::kDeleted));
}

TEST_F(WatchCluster, GetsBookmarksOnWhichItCanResume) {
  const std::string version = client().list(kSecret, {.ns = "default"}).resource_version;
  client().create(kConfigMap, config_map("of-another-kind"));
  // The server sends a bookmark a minute, and tries to send one shortly before a watch times out.
  std::string bookmark;
  std::stop_source enough;
  EXPECT_TRUE(eventually(
      [&] {
        client().watch(
            kSecret, {.ns = "default", .resource_version = version, .timeout = 70s},
            [&](WatchEvent&& event) {
              EXPECT_EQ(event.type, EventType::kBookmark);
              bookmark = event.object.resource_version();
              enough.request_stop();
            },
            enough.get_token());
        return !bookmark.empty();
      },
      120s));
  const WatchOutcome resumed =
      client().watch(kSecret, {.ns = "default", .resource_version = bookmark, .timeout = 1s}, [](WatchEvent&&) {}, {});
  EXPECT_EQ(resumed.end, WatchEnd::kClosed);
}

TEST_F(WatchCluster, ResumesAnInformerAfterTheApiServerRestarted) {
  std::atomic<int> deleted = 0;
  Informer informer(client(), {.kind = kConfigMap, .ns = "default", .label_selector = "watched=yes"},
                    [&](const Change& change) { deleted += change.type == Change::Type::kDeleted ? 1 : 0; });
  ASSERT_TRUE(informer.wait_synced(30s));
  Object before = config_map("before");
  before.json()["metadata"]["labels"] = {{"watched", "yes"}};
  client().create(kConfigMap, before);
  ASSERT_TRUE(eventually([&] { return informer.store().get(before.key()) != nullptr; }));
  cluster().restart_api_server();
  Object after = config_map("after");
  after.json()["metadata"]["labels"] = {{"watched", "yes"}};
  client().create(kConfigMap, after);
  client().create(kConfigMap, config_map("unlabelled"));
  client().remove(kConfigMap, before.key());
  EXPECT_TRUE(
      eventually([&] { return informer.store().get(after.key()) && !informer.store().get(before.key()); }, 10s));
  EXPECT_EQ(deleted, 1);
  EXPECT_EQ(informer.store().size(), 1U);
}

TEST_F(WatchCluster, IsToldWhenItsVersionIsTooOld) {
  const std::string old = client().list(kConfigMap, {}).resource_version;
  for (int i = 0; i < 3; ++i) client().create(kConfigMap, config_map("newer-" + std::to_string(i)));
  cluster().restart_api_server();  // its watch cache starts anew
  WatchOutcome outcome;
  // Until its cache is filled a server may still answer from elsewhere or be too busy.
  EXPECT_TRUE(eventually([&] {
    outcome = client().watch(kConfigMap, {.resource_version = old, .timeout = 1s}, [](WatchEvent&&) {}, {});
    return outcome.end == WatchEnd::kExpired;
  }));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code(), Code::kGone);
}

TEST_F(WatchCluster, StopsAnInformerWithinAMoment) {
  Informer informer(client(), {.kind = kPod}, [](const Change&) {});
  ASSERT_TRUE(informer.wait_synced(30s));
  informer.stop();
  EXPECT_TRUE(informer.synced());
}

TEST_F(WatchCluster, KeepsAnInformerWaitingUntilItsKindIsInstalled) {
  Informer informer(client(), {.kind = kModelDeployment}, [](const Change&) {});
  ASSERT_TRUE(eventually([&] { return informer.stats().failures > 0; }));
  EXPECT_FALSE(informer.synced());
  cluster().install_crd();
  EXPECT_TRUE(informer.wait_synced(60s));
}

LeaderElectionOptions candidate(const std::string& name) {
  LeaderElectionOptions options;
  options.lease = {"default", "millrace-operator"};
  options.identity = name;
  options.times = {3s, 2s, 200ms};
  return options;
}

TEST_F(WatchCluster, ElectsOneOfTwoOperatorsAndHandsOverWhenItLeaves) {
  auto a = std::make_unique<LeaderElector>(client(), candidate("a"));
  auto b = std::make_unique<LeaderElector>(client(), candidate("b"));
  ASSERT_TRUE(eventually([&] { return a->is_leader() || b->is_leader(); }));
  EXPECT_NE(a->is_leader(), b->is_leader());
  auto& leader = a->is_leader() ? a : b;
  auto& standby = a->is_leader() ? b : a;
  const std::int64_t before = leader->transitions();
  leader->stop();
  EXPECT_TRUE(eventually([&] { return standby->is_leader(); }));
  EXPECT_GT(standby->transitions(), before);
  EXPECT_FALSE(leader->is_leader());
}

TEST_F(WatchCluster, TakesTheLeaseFromAnOperatorThatDied) {
  Object lease(kLease, {"default", "orphaned"});
  lease.json()["spec"] = {{"holderIdentity", "dead"},
                          {"leaseDurationSeconds", 1},
                          {"leaseTransitions", 1},
                          {"acquireTime", "2026-01-01T00:00:00.000000Z"},
                          {"renewTime", "2026-01-01T00:00:00.000000Z"}};
  client().create(kLease, lease);
  LeaderElectionOptions options = candidate("heir");
  options.lease = lease.key();
  LeaderElector elector(client(), options);
  EXPECT_TRUE(eventually([&] { return elector.is_leader(); }));
  EXPECT_EQ(elector.transitions(), 2);
}

TEST_F(WatchCluster, RecordsEventsThatKubectlShows) {
  const Object subject = client().create(kConfigMap, config_map("subject"));
  EventRecorder recorder(client(), "millrace.dev/operator", "test-host");
  for (int i = 0; i < 3; ++i) recorder.warning(subject, "ProbeFailed", "Probe", "no answer from pod x");
  ASSERT_TRUE(recorder.flush(30s));
  EXPECT_EQ(recorder.dropped(), 0U);
  const ListResult events = client().list(kEvent, {.ns = "default", .field_selector = "reason=ProbeFailed"});
  ASSERT_EQ(events.items.size(), 1U);
  EXPECT_EQ(events.items[0].int_at("/series/count"), 3);
  EXPECT_THAT(cluster().kubectl({"get", "events"}).out, ::testing::HasSubstr("no answer from pod x"));
}

}  // namespace
}  // namespace millrace::controller::kube
