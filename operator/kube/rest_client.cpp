#include "operator/kube/rest_client.h"

#include <algorithm>
#include <future>

#include "operator/kube/resource_path.h"
#include "operator/kube/watch_stream.h"

namespace millrace::controller::kube {
namespace {

using common::Code;

constexpr const char* kApplyPatch = "application/apply-patch+yaml";  // JSON is YAML
constexpr const char* kMergePatch = "application/merge-patch+json";
constexpr const char* kJsonBody = "application/json";
constexpr std::size_t kSideBySide = 8;  // requests of one apply_each

std::string request_name(std::string_view verb, const ResourceKind& kind, const ObjectKey& key,
                         const std::string& subresource = "") {
  std::string text = std::string(verb) + " " + std::string(kind.plural);
  if (!subresource.empty()) text += "/" + subresource;
  if (!key.name.empty() || !key.ns.empty()) text += " " + to_string(key);
  return text;
}

std::string dump(const Json& document) {
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_ok(int status) {
  return status >= 200 && status < 300;
}

[[noreturn]] void refuse_status(const HttpResponse& response, const std::string& what) {
  throw error_from_response(response.status, response.body, response.retry_after, what);
}

Json parse_body(const HttpResponse& response, const std::string& what) {
  Json document = parse_document(response.body);
  if (!document.is_object()) {
    throw ApiError(Code::kUnavailable, response.status, "",
                   what + ": the answer is not a JSON object; is this address a Kubernetes API server?");
  }
  return document;
}

// Lists of the API server leave out what every item has in common.
Object item_of(Json&& item, const ResourceKind& kind) {
  if (item.is_object()) {
    if (!item.contains("apiVersion")) item["apiVersion"] = kind.api_version();
    if (!item.contains("kind")) item["kind"] = kind.kind;
  }
  return Object(std::move(item));
}

WatchOutcome outcome_of(const ApiError& error) {
  if (error.code() == Code::kCancelled) return {WatchEnd::kStopped, std::nullopt};
  return {error.code() == Code::kGone ? WatchEnd::kExpired : WatchEnd::kFailed, error};
}

}  // namespace

RestClient::RestClient(std::unique_ptr<Transport> transport, std::string host, ClientOptions options)
    : sender_(std::move(transport), std::move(host), std::move(options)) {}

std::optional<Object> RestClient::get(const ResourceKind& kind, const ObjectKey& key) {
  HttpRequest request;
  request.target = resource_path(kind, key.ns, key.name);
  const HttpResponse response = sender_.send(std::move(request), Repeat::kSafe);
  const std::string what = request_name("get", kind, key);
  if (response.status == 404) {
    // A missing kind (CRD not installed) is not a missing object.
    const ApiError error = error_from_response(response.status, response.body, response.retry_after, what);
    if (error.reason() == "NotFound" && Object(parse_document(response.body)).at("/details/name").is_string()) {
      return std::nullopt;
    }
    throw error;
  }
  if (!is_ok(response.status)) refuse_status(response, what);
  return Object(parse_body(response, what));
}

ListResult RestClient::list(const ResourceKind& kind, const ListOptions& options) {
  const std::string what = request_name("list", kind, {options.ns, ""});
  ListResult result;
  std::string next;
  int page_size = options.page_size;
  while (true) {
    HttpRequest request;
    request.stop = options.stop;
    request.target = resource_path(kind, options.ns) + query({{"labelSelector", options.label_selector},
                                                              {"fieldSelector", options.field_selector},
                                                              {"limit", page_size > 0 ? std::to_string(page_size) : ""},
                                                              {"continue", next}});
    const HttpResponse response = sender_.send(std::move(request), Repeat::kSafe, options.limit);
    if (response.status == 410 && !next.empty()) {
      // The continue token outlived the server's history: once more, all in one page.
      result = {};
      next.clear();
      page_size = 0;
      continue;
    }
    if (!is_ok(response.status)) refuse_status(response, what);
    Object page(parse_body(response, what));
    Json& items = page.json()["items"];
    if (items.is_array()) {
      for (Json& item : items) {
        Object object = item_of(std::move(item), kind);
        if (options.trim) options.trim(object);
        if (options.pack) {
          result.packed.push_back(pack(object));
        } else {
          result.items.push_back(std::move(object));
        }
      }
    }
    result.resource_version = page.resource_version();
    next = page.string_at("/metadata/continue");
    if (next.empty()) return result;
  }
}

Object RestClient::create(const ResourceKind& kind, const Object& object) {
  HttpRequest request;
  request.method = "POST";
  request.target = resource_path(kind, object.ns()) + query({{"fieldManager", kFieldManager}});
  request.content_type = kJsonBody;
  request.body = dump(object.json());
  return send_object(std::move(request), Repeat::kOnce, request_name("create", kind, object.key()));
}

Object RestClient::apply(const ResourceKind& kind, const Object& object, const ApplyOptions& options) {
  HttpRequest request;
  request.method = "PATCH";
  request.target = resource_path(kind, object.ns(), object.name(), options.subresource) +
                   query({{"fieldManager", options.field_manager}, {"force", options.force ? "true" : "false"}});
  request.content_type = kApplyPatch;
  request.body = dump(object.json());
  const Repeat repeat = object.resource_version().empty() ? Repeat::kSafe : Repeat::kOnce;  // as in patch()
  try {
    return send_object(std::move(request), repeat, request_name("apply", kind, object.key(), options.subresource));
  } catch (const ApiError& error) {
    // The server's way to say that this is another object of the name.
    const bool other =
        error.status() == 422 && std::string_view(error.what()).find("metadata.uid") != std::string::npos;
    if (other && !object.uid().empty()) throw ApiError(common::Code::kConflict, 422, error.reason(), error.what());
    throw;
  }
}

std::vector<std::exception_ptr> RestClient::apply_each(const ResourceKind& kind,
                                                       const std::vector<ApplyRequest>& requests) {
  if (requests.size() < 2) return Client::apply_each(kind, requests);
  std::vector<std::exception_ptr> errors;
  while (errors.size() < requests.size()) {
    std::vector<std::future<Object>> sent;
    const std::size_t end = std::min(requests.size(), errors.size() + kSideBySide);
    for (std::size_t i = errors.size(); i < end; ++i) {
      sent.push_back(
          std::async(std::launch::async, [&, i] { return apply(kind, requests[i].object, requests[i].options); }));
    }
    for (std::future<Object>& answer : sent) errors.push_back(error_of([&] { answer.get(); }));
  }
  return errors;
}

Object RestClient::patch(const ResourceKind& kind, const ObjectKey& key, const Json& merge_patch,
                         const PatchOptions& options) {
  HttpRequest request;
  request.method = "PATCH";
  request.target =
      resource_path(kind, key.ns, key.name, options.subresource) + query({{"fieldManager", kFieldManager}});
  request.content_type = kMergePatch;
  request.body = dump(merge_patch);
  // With a version in it, a repetition after a lost answer would report a conflict with itself.
  const bool versioned = merge_patch.contains("/metadata/resourceVersion"_json_pointer);
  return send_object(std::move(request), versioned ? Repeat::kOnce : Repeat::kSafe,
                     request_name("patch", kind, key, options.subresource));
}

bool RestClient::remove(const ResourceKind& kind, const ObjectKey& key, const RemoveOptions& options) {
  Json body = {{"apiVersion", "v1"}, {"kind", "DeleteOptions"}, {"propagationPolicy", options.propagation}};
  if (!options.uid.empty()) body["preconditions"]["uid"] = options.uid;
  if (!options.resource_version.empty()) body["preconditions"]["resourceVersion"] = options.resource_version;
  if (options.grace_period) body["gracePeriodSeconds"] = *options.grace_period;
  HttpRequest request;
  request.method = "DELETE";
  request.target = resource_path(kind, key.ns, key.name);
  request.content_type = kJsonBody;
  request.body = dump(body);
  const HttpResponse response = sender_.send(std::move(request), Repeat::kSafe);
  if (response.status == 404) return false;
  if (!is_ok(response.status)) refuse_status(response, request_name("delete", kind, key));
  return true;
}

Eviction RestClient::evict(const ObjectKey& pod, std::optional<std::int64_t> grace_period) {
  Json body = {
      {"apiVersion", "policy/v1"}, {"kind", "Eviction"}, {"metadata", {{"namespace", pod.ns}, {"name", pod.name}}}};
  if (grace_period) body["deleteOptions"]["gracePeriodSeconds"] = *grace_period;
  HttpRequest request;
  request.method = "POST";
  request.target = resource_path(kPod, pod.ns, pod.name, "eviction");
  request.content_type = kJsonBody;
  request.body = dump(body);
  const HttpResponse response = sender_.send(std::move(request), Repeat::kNever);
  if (response.status == 404) return Eviction::kNotFound;
  if (response.status == 429) return Eviction::kBlocked;
  if (!is_ok(response.status)) refuse_status(response, request_name("evict", kPod, pod));
  return Eviction::kEvicted;
}

WatchOutcome RestClient::watch(const ResourceKind& kind, const WatchOptions& options, const WatchHandler& handler,
                               std::stop_token stop) {
  HttpRequest request;
  request.stop = std::move(stop);
  request.target = resource_path(kind, options.ns) + query({{"watch", "true"},
                                                            {"allowWatchBookmarks", "true"},
                                                            {"resourceVersion", options.resource_version},
                                                            {"timeoutSeconds", std::to_string(options.timeout.count())},
                                                            {"labelSelector", options.label_selector},
                                                            {"fieldSelector", options.field_selector}});
  WatchDecoder decoder;
  std::exception_ptr thrown;  // by the handler: not an outcome
  const std::string what = request_name("watch", kind, {options.ns, ""});
  try {
    const HttpResponse response = sender_.stream(std::move(request), options.timeout, [&](std::string_view bytes) {
      try {
        for (WatchEvent& event : decoder.push(bytes)) handler(std::move(event));
      } catch (...) {
        thrown = std::current_exception();
        throw;
      }
      if (decoder.error()) throw *decoder.error();
    });
    if (response.status != 200) refuse_status(response, what);
  } catch (const ApiError& error) {
    if (thrown) std::rethrow_exception(thrown);
    return outcome_of(error);
  } catch (...) {
    if (thrown) std::rethrow_exception(thrown);
    throw;
  }
  return {WatchEnd::kClosed, std::nullopt};  // a half line at the end is an event that will be sent again
}

Object RestClient::send_object(HttpRequest request, Repeat repeat, const std::string& what) {
  const HttpResponse response = sender_.send(std::move(request), repeat);
  if (!is_ok(response.status)) refuse_status(response, what);
  return Object(parse_body(response, what));
}

}  // namespace millrace::controller::kube
