// An HTTP/1.1 server: keep-alive, pipelining, streamed answers, limits and deadlines on everything a client can hold.
// With TLS where it is asked for; else that is the mesh's or the ingress's part.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/http.h"
#include "common/tls.h"

namespace millrace::common {

struct HttpServerOptions {
  std::string address = "127.0.0.1";  // numeric IPv4 or IPv6; "0.0.0.0" and "::" are all interfaces
  std::uint16_t port = 0;             // 0: the system chooses
  std::optional<TlsServerFiles> tls;  // absent: plain HTTP
  int threads = 2;
  std::size_t max_connections = 4096;                // one more is answered 503 and closed
  std::uint32_t max_header_bytes = 32 << 10;         // else 431
  std::uint64_t max_body_bytes = 16 << 20;           // else 413
  std::size_t max_buffered_bytes = 1 << 20;          // of one stream, not yet taken by the client; else it is dropped
  std::chrono::milliseconds header_timeout{10'000};  // from the first byte of a request to the end of its header;
                                                     // also for the handshake of TLS
  std::chrono::milliseconds body_timeout{60'000};    // for the whole body
  std::chrono::milliseconds idle_timeout{75'000};    // between requests
  std::chrono::milliseconds write_timeout{30'000};   // for what is buffered to be taken by the client
  // The body of answers that the server makes itself (400, 408, 413, 431, 500, 503). Empty: plain text.
  std::function<HttpResponse(int status, const std::string& message)> error_response;
};

// The handler runs on the server's threads and must not block. What it throws becomes a 500 without details.
class HttpServer {
 public:
  // Listens when it returns. Throws kInvalidArgument (the address), kUnavailable (cannot bind; names address and port),
  // and for TLS files that are of no use what make_tls_server_context (common/http_tls.h) throws.
  HttpServer(HttpServerOptions options, HttpHandler handler);
  ~HttpServer();  // stop without grace

  std::uint16_t port() const;
  std::size_t connections() const;

  // No new connections or requests; answers in progress may take `grace`, then connections are cut. Idempotent. Not
  // from a handler. Afterwards no handler, writer or callback of this server runs.
  void stop(std::chrono::milliseconds grace);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::common
