// The Kubernetes API over a Transport: which request each verb is, paging, and what its answers mean.
#pragma once

#include <memory>
#include <string>

#include "operator/kube/client.h"
#include "operator/kube/request_sender.h"
#include "operator/kube/transport.h"

namespace millrace::controller::kube {

class RestClient final : public Client {
 public:
  // `host` labels the metrics.
  RestClient(std::unique_ptr<Transport> transport, std::string host, ClientOptions options);

  std::optional<Object> get(const ResourceKind& kind, const ObjectKey& key) override;
  ListResult list(const ResourceKind& kind, const ListOptions& options) override;
  Object create(const ResourceKind& kind, const Object& object) override;
  Object apply(const ResourceKind& kind, const Object& object, const ApplyOptions& options) override;
  std::vector<std::exception_ptr> apply_each(const ResourceKind& kind,
                                             const std::vector<ApplyRequest>& requests) override;
  Object patch(const ResourceKind& kind, const ObjectKey& key, const Json& merge_patch,
               const PatchOptions& options) override;
  bool remove(const ResourceKind& kind, const ObjectKey& key, const RemoveOptions& options) override;
  WatchOutcome watch(const ResourceKind& kind, const WatchOptions& options, const WatchHandler& handler,
                     std::stop_token stop) override;
  Eviction evict(const ObjectKey& pod, std::optional<std::int64_t> grace_period) override;

 private:
  Object send_object(HttpRequest request, Repeat repeat, const std::string& what);

  const RequestSender sender_;
};

}  // namespace millrace::controller::kube
