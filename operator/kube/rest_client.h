// The Kubernetes API over a Transport: URLs, paging, server-side apply, watch, error mapping and safe repetition.
#pragma once

#include <memory>
#include <string>

#include "operator/kube/client.h"
#include "operator/kube/transport.h"

namespace millrace::controller::kube {

// "/api/v1/namespaces/default/pods/a/status"; name and subresource may be empty. Every part is percent-encoded.
std::string resource_path(const ResourceKind& kind, const std::string& ns, const std::string& name = "",
                          const std::string& subresource = "");

// "?a=b&c=d%20e", or "" without parameters; parameters with an empty value are left out.
std::string query(const std::vector<std::pair<std::string, std::string>>& parameters);

class RestClient final : public Client {
 public:
  // `host` labels the metrics.
  RestClient(std::unique_ptr<Transport> transport, std::string host, ClientOptions options);

  std::optional<Object> get(const ResourceKind& kind, const ObjectKey& key) override;
  ListResult list(const ResourceKind& kind, const ListOptions& options) override;
  Object create(const ResourceKind& kind, const Object& object) override;
  Object apply(const ResourceKind& kind, const Object& object, const ApplyOptions& options) override;
  Object patch(const ResourceKind& kind, const ObjectKey& key, const Json& merge_patch,
               const PatchOptions& options) override;
  bool remove(const ResourceKind& kind, const ObjectKey& key, const RemoveOptions& options) override;
  WatchOutcome watch(const ResourceKind& kind, const WatchOptions& options, const WatchHandler& handler,
                     std::stop_token stop) override;
  Eviction evict(const ObjectKey& pod, std::optional<std::int64_t> grace_period) override;

 private:
  // kOnce: doing it twice is not the same as doing it once, so only a 429 (not processed) is repeated. kNever: not
  // even.
  enum class Repeat { kSafe, kOnce, kNever };

  HttpResponse send(HttpRequest request, Repeat repeat);
  HttpResponse send_once(const HttpRequest& request);
  Object send_object(HttpRequest request, Repeat repeat, const std::string& what);
  HttpResponse open_watch(const HttpRequest& request, const StreamLimits& limits,
                          const std::function<void(std::string_view)>& on_bytes);
  void report(const std::string& method, int status, std::chrono::steady_clock::time_point begin) const;

  const std::unique_ptr<Transport> transport_;
  const std::string host_;
  const ClientOptions options_;
};

}  // namespace millrace::controller::kube
