// A small blocking HTTP/1.1 client for one exchange at a time: the command line, tests, and what the operator asks
// agents but seldom (http_pool.h does the rest).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/error.h"
#include "common/http.h"
#include "common/tls.h"

namespace millrace::common {

struct HttpCall {
  std::string host = {};  // name or numeric address
  std::uint16_t port = 80;
  std::string method = "GET";
  std::string target = "/";
  HttpHeaders headers = {};
  std::string body = {};
  std::string content_type = "application/json";  // sent when there is a body
  // For the whole exchange; of a streamed answer, up to its head and then between two pieces.
  std::chrono::milliseconds timeout{10'000};
  std::uint64_t max_body_bytes = 64 << 20;
  std::stop_token stop = {};                  // ends the call at once, but for the look-up of a name
  std::shared_ptr<const TlsClient> tls = {};  // https, when there is one; shared by many calls
};

// Names method, scheme, host, port and target.
Error call_failure(Code code, const HttpCall& call, const std::string& what);

// The answer, whatever its status. Throws kUnavailable (cannot connect, the peer hung up, is not to be trusted or does
// not speak HTTP),
// kDeadlineExceeded, kCancelled (stopped), kResourceExhausted (the answer is too large). Messages name host and port.
HttpResponse http_call(const HttpCall& call);

// As http_call, but a 2xx body goes to `on_data` as it arrives; return false to hang up. The returned body is empty
// then; of other statuses it holds the error.
HttpResponse http_stream(const HttpCall& call, const std::function<bool(std::string_view)>& on_data);

}  // namespace millrace::common
