// A real informer on a stream that misbehaves: events twice, old ones again, a version that is too old, a cut.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "operator/kube/watcher.h"
#include "operator/local/memory_cluster.h"

namespace millrace::controller::local {
namespace {

using kube::Object;
using kube::WatchEnd;

// Passes lists on; its watches misbehave until they are told to be calm.
class BadStream final : public kube::Client {
 public:
  explicit BadStream(kube::Client& inner) : inner_(inner) {}

  std::atomic<bool> calm{false};
  std::atomic<int> cuts{0};

  std::optional<Object> get(const kube::ResourceKind& kind, const kube::ObjectKey& key) override {
    return inner_.get(kind, key);
  }
  kube::ListResult list(const kube::ResourceKind& kind, const kube::ListOptions& options) override {
    return inner_.list(kind, options);
  }
  Object create(const kube::ResourceKind& kind, const Object& object) override { return inner_.create(kind, object); }
  Object apply(const kube::ResourceKind& kind, const Object& object, const kube::ApplyOptions& options) override {
    return inner_.apply(kind, object, options);
  }
  Object patch(const kube::ResourceKind& kind, const kube::ObjectKey& key, const kube::Json& patch,
               const kube::PatchOptions& options) override {
    return inner_.patch(kind, key, patch, options);
  }
  bool remove(const kube::ResourceKind& kind, const kube::ObjectKey& key, const kube::RemoveOptions& options) override {
    return inner_.remove(kind, key, options);
  }
  kube::Eviction evict(const kube::ObjectKey& pod, std::optional<std::int64_t> grace) override {
    return inner_.evict(pod, grace);
  }

  // What is older comes once more behind a change, and seldom behind a deletion.
  bool returns(const kube::WatchEvent& event, const kube::WatchEvent& older) {
    if (older.type == kube::EventType::kDeleted) return false;
    if (event.type == kube::EventType::kDeleted) return !calm && random_() % 32 == 0;
    return event.type == kube::EventType::kModified;
  }

  // Every event may come twice; behind some, one of the same object that is older comes once more.
  kube::WatchOutcome watch(const kube::ResourceKind& kind, const kube::WatchOptions& options,
                           const kube::WatchHandler& handler, std::stop_token stop) override {
    std::map<std::string, kube::WatchEvent> last;  // by name
    std::stop_source cut;
    const std::stop_callback both(stop, [&] { cut.request_stop(); });
    int left = 40;
    const kube::WatchOutcome outcome = inner_.watch(
        kind, options,
        [&](kube::WatchEvent&& event) {
          const std::string name = event.object.name();
          handler(kube::WatchEvent(event));
          if (random_() % 3 == 0) handler(kube::WatchEvent(event));
          if (const auto older = last.find(name); older != last.end() && returns(event, older->second)) {
            handler(kube::WatchEvent(older->second));
          }
          last[name] = std::move(event);
          if (!calm && --left <= 0) cut.request_stop();
        },
        cut.get_token());
    if (stop.stop_requested() || outcome.end != WatchEnd::kStopped) return outcome;
    const common::Code code = cuts++ % 2 == 0 ? common::Code::kGone : common::Code::kUnavailable;
    const bool gone = code == common::Code::kGone;
    return {gone ? WatchEnd::kExpired : WatchEnd::kFailed, kube::ApiError(code, gone ? 410 : 500, "", "as scripted")};
  }

 private:
  kube::Client& inner_;
  std::mt19937 random_{7};
};

using Versions = std::map<std::string, std::string>;

Versions versions_of(const std::vector<kube::ObjectPtr>& objects) {
  Versions versions;
  for (const kube::ObjectPtr& object : objects) versions[object->name()] = object->uid() + object->resource_version();
  return versions;
}

Versions versions_of(MemoryCluster& cluster) {
  Versions versions;
  for (const Object& object : cluster.list(kube::kConfigMap, {}).items) {
    versions[object.name()] = object.uid() + object.resource_version();
  }
  return versions;
}

TEST(InformerChaos, EndsEqualToTheServer) {
  MemoryCluster cluster;
  BadStream stream(cluster);
  kube::InformerOptions options;
  options.kind = kube::kConfigMap;
  options.seed = 3;
  kube::Informer informer(stream, options, [](const kube::Change&) {});
  ASSERT_TRUE(informer.wait_synced(std::chrono::seconds(10)));
  std::mt19937 random(11);
  const auto churn = [&](int steps) {
    for (int i = 0; i < steps; ++i) {
      const kube::ObjectKey key{"ns", "c-" + std::to_string(random() % 20)};
      if (!cluster.get(kube::kConfigMap, key)) {
        cluster.create(kube::kConfigMap, Object(kube::kConfigMap, key));
      } else if (random() % 4 == 0) {
        cluster.remove(kube::kConfigMap, key);
      } else {
        cluster.patch(kube::kConfigMap, key, {{"data", {{"step", std::to_string(i)}}}});
      }
    }
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (stream.cuts < 2 && std::chrono::steady_clock::now() < deadline) {
    churn(20);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_GE(stream.cuts, 2);
  stream.calm = true;
  churn(200);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (versions_of(informer.store().list()) != versions_of(cluster) && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(versions_of(informer.store().list()), versions_of(cluster));
}

}  // namespace
}  // namespace millrace::controller::local
