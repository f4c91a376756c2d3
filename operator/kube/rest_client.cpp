#include "operator/kube/rest_client.h"

#include <condition_variable>
#include <mutex>

#include "operator/kube/watch_stream.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

// A server that asks for a longer pause is left to the caller's own back-off.
constexpr milliseconds kLongestPause{10'000};

constexpr const char* kApplyPatch = "application/apply-patch+yaml";  // JSON is YAML
constexpr const char* kMergePatch = "application/merge-patch+json";
constexpr const char* kJsonBody = "application/json";

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

std::string describe(std::string_view verb, const ResourceKind& kind, const ObjectKey& key,
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

[[noreturn]] void refuse(const HttpResponse& response, const std::string& what) {
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

// nullopt: do not try again.
std::optional<milliseconds> pause_before_retry(int status, std::string_view retry_after, milliseconds backoff) {
  if (status != 0 && status != 429 && status != 500 && status != 502 && status != 503 && status != 504) {
    return std::nullopt;
  }
  const milliseconds pause = std::max(backoff, parse_retry_after(retry_after).value_or(milliseconds(0)));
  if (pause > kLongestPause) return std::nullopt;
  return pause;
}

void wait(milliseconds pause, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any woken;
  std::unique_lock lock(mutex);
  woken.wait_for(lock, stop, pause, [] { return false; });
  if (stop.stop_requested()) throw ApiError(Code::kCancelled, 0, "", "stopped");
}

// Lists of the API server leave out what every item has in common.
Object item_of(Json&& item, const ResourceKind& kind) {
  if (item.is_object()) {
    if (!item.contains("apiVersion")) item["apiVersion"] = kind.api_version();
    if (!item.contains("kind")) item["kind"] = kind.kind;
  }
  return Object(std::move(item));
}

// Triggers when either of two tokens does.
class EitherStop {
 public:
  EitherStop(const std::stop_token& a, const std::stop_token& b)
      : on_a_(a, [this] { source_.request_stop(); }), on_b_(b, [this] { source_.request_stop(); }) {}
  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::stop_callback<std::function<void()>> on_a_;
  std::stop_callback<std::function<void()>> on_b_;
};

WatchOutcome outcome_of(const ApiError& error) {
  if (error.code() == Code::kCancelled) return {WatchEnd::kStopped, std::nullopt};
  return {error.code() == Code::kGone ? WatchEnd::kExpired : WatchEnd::kFailed, error};
}

}  // namespace

std::string resource_path(const ResourceKind& kind, const std::string& ns, const std::string& name,
                          const std::string& subresource) {
  std::string path = kind.group.empty() ? "/api/" : "/apis/" + std::string(kind.group) + "/";
  path += kind.version;
  if (kind.namespaced && !ns.empty()) path += "/namespaces/" + percent_encode(ns);
  path += "/" + std::string(kind.plural);
  if (!name.empty()) path += "/" + percent_encode(name);
  if (!subresource.empty()) path += "/" + percent_encode(subresource);
  return path;
}

std::string query(const std::vector<std::pair<std::string, std::string>>& parameters) {
  std::string text;
  for (const auto& [name, value] : parameters) {
    if (value.empty()) continue;
    text += (text.empty() ? "?" : "&") + name + "=" + percent_encode(value);
  }
  return text;
}

RestClient::RestClient(std::unique_ptr<Transport> transport, std::string host, ClientOptions options)
    : transport_(std::move(transport)), host_(std::move(host)), options_(std::move(options)) {}

std::optional<Object> RestClient::get(const ResourceKind& kind, const ObjectKey& key) {
  HttpRequest request;
  request.target = resource_path(kind, key.ns, key.name);
  const HttpResponse response = send(std::move(request), Repeat::kSafe);
  const std::string what = describe("get", kind, key);
  if (response.status == 404) {
    // A missing kind (CRD not installed) is not a missing object.
    const ApiError error = error_from_response(response.status, response.body, response.retry_after, what);
    if (error.reason() == "NotFound" && Object(parse_document(response.body)).at("/details/name").is_string()) {
      return std::nullopt;
    }
    throw error;
  }
  if (!is_ok(response.status)) refuse(response, what);
  return Object(parse_body(response, what));
}

ListResult RestClient::list(const ResourceKind& kind, const ListOptions& options) {
  const std::string what = describe("list", kind, {options.ns, ""});
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
    const HttpResponse response = send(std::move(request), Repeat::kSafe);
    if (response.status == 410 && !next.empty()) {
      // The continue token outlived the server's history: once more, all in one page.
      result = {};
      next.clear();
      page_size = 0;
      continue;
    }
    if (!is_ok(response.status)) refuse(response, what);
    Object page(parse_body(response, what));
    Json& items = page.json()["items"];
    if (items.is_array()) {
      for (Json& item : items) result.items.push_back(item_of(std::move(item), kind));
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
  return send_object(std::move(request), Repeat::kOnce, describe("create", kind, object.key()));
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
    return send_object(std::move(request), repeat, describe("apply", kind, object.key(), options.subresource));
  } catch (const ApiError& error) {
    // The server's way to say that this is another object of the name.
    const bool other =
        error.status() == 422 && std::string_view(error.what()).find("metadata.uid") != std::string::npos;
    if (other && !object.uid().empty()) throw ApiError(common::Code::kConflict, 422, error.reason(), error.what());
    throw;
  }
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
                     describe("patch", kind, key, options.subresource));
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
  const HttpResponse response = send(std::move(request), Repeat::kSafe);
  if (response.status == 404) return false;
  if (!is_ok(response.status)) refuse(response, describe("delete", kind, key));
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
  const HttpResponse response = send(std::move(request), Repeat::kNever);
  if (response.status == 404) return Eviction::kNotFound;
  if (response.status == 429) return Eviction::kBlocked;
  if (!is_ok(response.status)) refuse(response, describe("evict", kPod, pod));
  return Eviction::kEvicted;
}

WatchOutcome RestClient::watch(const ResourceKind& kind, const WatchOptions& options, const WatchHandler& handler,
                               std::stop_token stop) {
  const EitherStop either(stop, options_.stop);
  HttpRequest request;
  request.limit = options_.request_limit;
  request.stop = either.token();
  request.target = resource_path(kind, options.ns) + query({{"watch", "true"},
                                                            {"allowWatchBookmarks", "true"},
                                                            {"resourceVersion", options.resource_version},
                                                            {"timeoutSeconds", std::to_string(options.timeout.count())},
                                                            {"labelSelector", options.label_selector},
                                                            {"fieldSelector", options.field_selector}});
  // The server ends the stream by itself; one that dribbles on past its time is not trusted.
  const StreamLimits limits{options_.silence_limit, options.timeout + options_.request_limit};
  WatchDecoder decoder;
  std::exception_ptr thrown;  // by the handler: not an outcome
  const std::string what = describe("watch", kind, {options.ns, ""});
  try {
    const HttpResponse response = open_watch(request, limits, [&](std::string_view bytes) {
      try {
        for (WatchEvent& event : decoder.push(bytes)) handler(std::move(event));
      } catch (...) {
        thrown = std::current_exception();
        throw;
      }
      if (decoder.error()) throw *decoder.error();
    });
    if (response.status != 200) refuse(response, what);
  } catch (const ApiError& error) {
    if (thrown) std::rethrow_exception(thrown);
    return outcome_of(error);
  } catch (...) {
    if (thrown) std::rethrow_exception(thrown);
    throw;
  }
  return {WatchEnd::kClosed, std::nullopt};  // a half line at the end is an event that will be sent again
}

HttpResponse RestClient::open_watch(const HttpRequest& request, const StreamLimits& limits,
                                    const std::function<void(std::string_view)>& on_bytes) {
  const auto begin = SteadyClock::now();
  bool reported = false;
  const auto report_once = [&](int status) {
    if (!std::exchange(reported, true)) report(request.method, status, begin);
  };
  try {
    HttpResponse response = transport_->stream(request, limits, [&](std::string_view bytes) {
      report_once(200);
      on_bytes(bytes);
    });
    report_once(response.status);
    return response;
  } catch (...) {
    report_once(0);
    throw;
  }
}

HttpResponse RestClient::send(HttpRequest request, Repeat repeat) {
  const EitherStop either(request.stop, options_.stop);
  request.stop = either.token();
  request.limit = options_.request_limit;
  milliseconds backoff = options_.first_retry;
  for (int attempt = 1;; ++attempt, backoff *= 2) {
    const bool last = attempt >= options_.attempts || repeat == Repeat::kNever;
    std::optional<milliseconds> pause;
    try {
      HttpResponse response = send_once(request);
      const bool worth_it = response.status == 429 || repeat == Repeat::kSafe;
      if (!last && worth_it) pause = pause_before_retry(response.status, response.retry_after, backoff);
      if (!pause || is_ok(response.status)) return response;
    } catch (const ApiError& error) {
      if (last || repeat != Repeat::kSafe || error.code() != Code::kUnavailable) throw;
      pause = backoff;
    }
    wait(*pause, request.stop);
  }
}

HttpResponse RestClient::send_once(const HttpRequest& request) {
  const auto begin = SteadyClock::now();
  try {
    HttpResponse response = transport_->send(request);
    report(request.method, response.status, begin);
    return response;
  } catch (...) {
    report(request.method, 0, begin);
    throw;
  }
}

Object RestClient::send_object(HttpRequest request, Repeat repeat, const std::string& what) {
  const HttpResponse response = send(std::move(request), repeat);
  if (!is_ok(response.status)) refuse(response, what);
  return Object(parse_body(response, what));
}

void RestClient::report(const std::string& method, int status, SteadyClock::time_point begin) const {
  if (options_.observer) options_.observer->request_done(method, host_, status, SteadyClock::now() - begin);
}

}  // namespace millrace::controller::kube
