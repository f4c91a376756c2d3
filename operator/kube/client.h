// The seam between controllers and a cluster. Two implementations: connect() below speaks to an API server; the local
// mode keeps a cluster in memory. All calls block; all are safe from several threads at once.
//
// Errors are ApiError (a common::Error) with the codes of api_error.h:
//   kConflict (409, read again), kAlreadyExists (409 on create), kGone (410, list again), kPermissionDenied (403),
//   kInvalidArgument (400, 422), kResourceExhausted (429, see retry_after), kUnavailable (5xx, no connection),
//   kDeadlineExceeded (no answer in time), kCancelled (stopped).
// "Not there" is a value: get() returns nullopt and remove() false.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "operator/kube/api_error.h"
#include "operator/kube/object.h"

namespace millrace::controller::kube {

inline constexpr const char* kFieldManager = "millrace-operator";

struct ListOptions {
  std::string ns = {};                                  // empty: all namespaces
  std::string label_selector = {};                      // "a=b,c!=d,e in (f,g),!h"; empty: everything
  std::string field_selector = {};                      // for example "spec.nodeName=n1"; empty: everything
  int page_size = 500;                                  // objects per request; the result is whole in any case
  std::stop_token stop = {};                            // ends the call with kCancelled
  std::optional<std::chrono::milliseconds> limit = {};  // for a request, in place of ClientOptions::request_limit
  // Applied to each object as soon as its page is read, so that a long list needs no more memory than what is left.
  std::function<void(Object&)> trim = {};
  bool pack = false;  // a client over the wire gives `packed` in place of `items`: a tenth of the memory
};

struct ListResult {
  std::vector<Object> items;
  std::string resource_version;          // where a watch has to start to miss nothing
  std::vector<std::string> packed = {};  // objects, as pack() makes them
};

struct ApplyOptions {
  std::string subresource = {};  // "" or "status"
  bool force = true;             // take over fields that another manager owns; false: kConflict instead
  std::string field_manager = kFieldManager;
};

struct ApplyRequest {
  Object object;
  ApplyOptions options = {};
};

struct PatchOptions {
  std::string subresource = {};  // "", "status" or "scale"
};

struct RemoveOptions {
  std::string uid = {};                           // precondition when not empty: kConflict for another incarnation
  std::string resource_version = {};              // precondition when not empty: kConflict when it changed since
  std::optional<std::int64_t> grace_period = {};  // seconds; 0 removes a pod without asking its node
  std::string propagation = "Background";         // or "Foreground", "Orphan"
};

enum class EventType { kAdded, kModified, kDeleted, kBookmark };

struct WatchEvent {
  EventType type;
  Object object;  // kDeleted: the last state; kBookmark: only metadata.resourceVersion is meaningful
};

struct WatchOptions {
  std::string ns = {};
  std::string label_selector = {};
  std::string field_selector = {};
  std::string resource_version = {};  // events after this one; from ListResult or the last event
  std::chrono::seconds timeout{300};  // the server ends the stream after this long
};

enum class WatchEnd {
  kClosed,   // the server ended the stream in good order (its time-out); watch again from the last version
  kStopped,  // the stop token was triggered
  kExpired,  // 410 as status or as ERROR event: the version is too old; list again
  kFailed,   // anything else; `error` says what
};

struct WatchOutcome {
  WatchEnd end = WatchEnd::kClosed;
  // Set for kExpired and kFailed. Codes as above; kUnavailable: connection refused, cut or 5xx; kDeadlineExceeded: the
  // stream was silent for longer than bookmarks allow (half-open connection); kDataLoss: bytes that are not watch
  // events.
  std::optional<ApiError> error;
};

// Called on the thread that called watch(), one event at a time. An exception ends the watch and passes through.
using WatchHandler = std::function<void(WatchEvent&&)>;

enum class Eviction {
  kEvicted,   // the pod is going away
  kBlocked,   // a PodDisruptionBudget does not allow it now (429)
  kNotFound,  // no such pod
};

class Client {
 public:
  virtual ~Client() = default;

  virtual std::optional<Object> get(const ResourceKind& kind, const ObjectKey& key) = 0;

  // Everything that matches, page by page, at one resource version.
  virtual ListResult list(const ResourceKind& kind, const ListOptions& options) = 0;

  // Returns the stored object. metadata.generateName is allowed in place of a name.
  virtual Object create(const ResourceKind& kind, const Object& object) = 0;

  // Server-side apply: `object` holds exactly the fields this manager wants to own. Creates what is not there (not for
  // subresources). Send no managedFields; a resourceVersion in the metadata is a precondition.
  virtual Object apply(const ResourceKind& kind, const Object& object, const ApplyOptions& options) = 0;
  Object apply(const ResourceKind& kind, const Object& object) { return apply(kind, object, ApplyOptions{}); }

  // Applies all of them, each whatever becomes of the others, and returns what each threw (null: nothing). A client
  // over the wire sends them side by side, so that those who watch the objects see them change at about the same time.
  virtual std::vector<std::exception_ptr> apply_each(const ResourceKind& kind,
                                                     const std::vector<ApplyRequest>& requests) {
    std::vector<std::exception_ptr> errors;
    errors.reserve(requests.size());
    for (const ApplyRequest& request : requests) {
      errors.push_back(error_of([&] { apply(kind, request.object, request.options); }));
    }
    return errors;
  }

  // RFC 7386 merge patch: null removes. Put metadata.resourceVersion into it for optimistic concurrency (kConflict).
  // kNotFound when the object is not there.
  virtual Object patch(const ResourceKind& kind, const ObjectKey& key, const Json& merge_patch,
                       const PatchOptions& options) = 0;
  Object patch(const ResourceKind& kind, const ObjectKey& key, const Json& merge_patch) {
    return patch(kind, key, merge_patch, PatchOptions{});
  }

  // False when it was not there. True says that the deletion was accepted: finalizers and grace periods may keep the
  // object for a while, with a deletionTimestamp.
  virtual bool remove(const ResourceKind& kind, const ObjectKey& key, const RemoveOptions& options) = 0;
  bool remove(const ResourceKind& kind, const ObjectKey& key) { return remove(kind, key, RemoveOptions{}); }

  // Delivers events until the stream ends, and says why it did. Never retries: that is the Informer's decision.
  virtual WatchOutcome watch(const ResourceKind& kind, const WatchOptions& options, const WatchHandler& handler,
                             std::stop_token stop) = 0;

  // Asks for a pod's deletion through its disruption budgets.
  virtual Eviction evict(const ObjectKey& pod, std::optional<std::int64_t> grace_period) = 0;

 protected:
  template <typename Call>
  static std::exception_ptr error_of(Call&& call) {
    try {
      std::forward<Call>(call)();
      return nullptr;
    } catch (const common::Error&) {
      return std::current_exception();
    }
  }
};

// Told about every HTTP request that ended; feeds rest_client_requests_total and rest_client_request_duration_seconds.
// Called from many threads; must not throw.
class RequestObserver {
 public:
  virtual ~RequestObserver() = default;
  // `status` is 0 when no answer came. A watch is reported once, with the time until its headers.
  virtual void request_done(std::string_view method, std::string_view host, int status,
                            std::chrono::duration<double> time) = 0;
};

struct ClientOptions {
  std::chrono::milliseconds request_limit{30'000};  // for one request, from connecting to the last byte
  // A watch that brings nothing, not even a bookmark (the server sends one a minute), for this long is dead.
  std::chrono::milliseconds silence_limit{150'000};
  int attempts = 4;                            // of a request that may be repeated safely
  std::chrono::milliseconds first_retry{100};  // doubles; a Retry-After is honoured instead when it is longer
  std::string user_agent = "millrace-operator";
  RequestObserver* observer = nullptr;  // borrowed; outlives the client
  std::stop_token stop = {};            // ends every call in flight with kCancelled
};

struct ClusterConfig;

// A client of the API server that `config` names (kubeconfig.h). Does not connect yet; the first call does.
std::unique_ptr<Client> connect(const ClusterConfig& config, const ClientOptions& options);

}  // namespace millrace::controller::kube
