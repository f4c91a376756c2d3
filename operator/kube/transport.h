// HTTP as the Kubernetes client needs it: one request and its answer, or a long answer read as it comes. Two
// implementations: cpprestsdk (client.cpp) and a scripted one in the tests.
//
// Errors are ApiError with status 0: kUnavailable (no connection, or it was cut), kDeadlineExceeded, kCancelled.
// An answer of any status is a value.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "operator/kube/client.h"
#include "operator/kube/kubeconfig.h"

namespace millrace::controller::kube {

struct HttpRequest {
  std::string method = "GET";
  std::string target;        // path and query, percent-encoded
  std::string content_type;  // empty: no body
  std::string body;
  std::chrono::milliseconds limit{30'000};  // send(): whole exchange; stream(): until the headers
  std::stop_token stop = {};
};

struct HttpResponse {
  int status = 0;
  std::string body;
  std::string retry_after;  // the header's value
};

struct StreamLimits {
  std::chrono::milliseconds silence;  // between two pieces of the body
  std::chrono::milliseconds total;    // the whole body, however lively
};

class Transport {
 public:
  virtual ~Transport() = default;

  virtual HttpResponse send(const HttpRequest& request) = 0;

  // Passes the body of a 200 to `on_bytes`, piece by piece, on this thread, and returns when it ended in good order.
  // The body of any other status is returned whole. Exceptions of `on_bytes` close the connection and pass through.
  virtual HttpResponse stream(const HttpRequest& request, const StreamLimits& limits,
                              const std::function<void(std::string_view)>& on_bytes) = 0;
};

// cpprestsdk. Adds the credentials of `config` to each request, and reads them again after a 401.
std::unique_ptr<Transport> make_transport(const ClusterConfig& config, const ClientOptions& options);

}  // namespace millrace::controller::kube
