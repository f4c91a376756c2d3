// Where the reconciler reads the cluster: from the informers' caches, or from the API server itself. Only reads of what
// is cached are here; Secrets are never cached.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "operator/kube/client.h"
#include "operator/kube/store.h"
#include "operator/kube/watcher.h"

namespace millrace::controller {

class ClusterReader {
 public:
  virtual ~ClusterReader() = default;

  // Null when it is not there.
  virtual kube::ObjectPtr get(const kube::ResourceKind& kind, const kube::ObjectKey& key) const = 0;
  // Those with the label of this deployment, by name. kPod, kConfigMap.
  virtual std::vector<kube::ObjectPtr> children(const kube::ResourceKind& kind,
                                                const kube::ObjectKey& deployment) const = 0;
  virtual std::vector<kube::ObjectPtr> nodes() const = 0;
};

// The truth, at the price of a request.
class LiveReader final : public ClusterReader {
 public:
  explicit LiveReader(kube::Client& client) : client_(client) {}

  kube::ObjectPtr get(const kube::ResourceKind& kind, const kube::ObjectKey& key) const override;
  std::vector<kube::ObjectPtr> children(const kube::ResourceKind& kind,
                                        const kube::ObjectKey& deployment) const override;
  std::vector<kube::ObjectPtr> nodes() const override;

 private:
  kube::Client& client_;
};

// The truth at one moment, for one deployment: what is asked for twice is read once, and children that were created
// since are added by who did. Of one thread.
class LiveLook final : public ClusterReader {
 public:
  explicit LiveLook(kube::Client& client) : live_(client) {}

  kube::ObjectPtr get(const kube::ResourceKind& kind, const kube::ObjectKey& key) const override {
    return live_.get(kind, key);
  }
  std::vector<kube::ObjectPtr> children(const kube::ResourceKind& kind,
                                        const kube::ObjectKey& deployment) const override;
  std::vector<kube::ObjectPtr> nodes() const override { return live_.nodes(); }

  void add(const kube::ResourceKind& kind, kube::Object created);
  void forget(const kube::ResourceKind& kind) { children_.erase(kind); }  // what was changed is read again

 private:
  const LiveReader live_;
  mutable std::map<kube::ResourceKind, std::vector<kube::ObjectPtr>> children_;
};

// What the informers know. `informers` is borrowed; several may be of one kind, for different namespaces.
class CachedReader final : public ClusterReader {
 public:
  explicit CachedReader(std::vector<const kube::Informer*> informers) : informers_(std::move(informers)) {}

  kube::ObjectPtr get(const kube::ResourceKind& kind, const kube::ObjectKey& key) const override;
  std::vector<kube::ObjectPtr> children(const kube::ResourceKind& kind,
                                        const kube::ObjectKey& deployment) const override;
  std::vector<kube::ObjectPtr> nodes() const override;

 private:
  std::vector<const kube::Informer*> informers_;
};

}  // namespace millrace::controller
