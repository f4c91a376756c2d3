// Requests on their way to the API server: repeated where that is safe, ended by either of two stop tokens, and
// reported to the observer.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "operator/kube/client.h"
#include "operator/kube/transport.h"

namespace millrace::controller::kube {

// kOnce: doing it twice is not the same as doing it once, so only a 429 (not processed) is repeated. kNever: not even.
enum class Repeat { kSafe, kOnce, kNever };

// Any thread. ClientOptions::stop and the request's own token both end what is in flight, and the pause before a
// repetition, with kCancelled.
class RequestSender {
 public:
  // `host` labels the metrics.
  RequestSender(std::unique_ptr<Transport> transport, std::string host, ClientOptions options);

  // The last answer, whatever its status. `limit` in place of ClientOptions::request_limit.
  HttpResponse send(HttpRequest request, Repeat repeat, std::optional<std::chrono::milliseconds> limit = {}) const;

  // As Transport::stream; never repeated. The server ends a stream by itself; one that dribbles on for longer than
  // `expected` and the limit of a request is not trusted.
  HttpResponse stream(HttpRequest request, std::chrono::milliseconds expected,
                      const std::function<void(std::string_view)>& on_bytes) const;

 private:
  HttpResponse send_once(const HttpRequest& request) const;
  void report(const std::string& method, int status, std::chrono::steady_clock::time_point begin) const;

  const std::unique_ptr<Transport> transport_;
  const std::string host_;
  const ClientOptions options_;
};

}  // namespace millrace::controller::kube
