// The bytes under a connection of an HttpPool: plain or TLS, as the call asks.
#pragma once

#include <boost/asio/buffer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "common/http_client.h"
#include "common/http_stream.h"

namespace millrace::common {

// Used on the thread of its io_context. Shared: an operation in flight keeps it, also after close(). What operations
// are given is called once, later; after close() with an error.
class HttpWire : public std::enable_shared_from_this<HttpWire> {
 public:
  using ErrorCode = boost::system::error_code;

  HttpWire(boost::asio::io_context& context, const HttpCall& call)
      : stream_(context), host_(call.host), tls_(call.tls) {}

  bool suits(const HttpCall& call) const { return call.tls == tls_; }

  void connect(const boost::asio::ip::tcp::endpoint& peer, std::function<void(ErrorCode)> done);  // handshake included
  void read_some(boost::asio::mutable_buffer into, std::function<void(ErrorCode, std::size_t)> done);
  void write_all(boost::asio::const_buffer from, std::function<void(ErrorCode)> done);
  void close();

  // Has the kernel ask the peer's kernel for a sign of life every second of quiet, and close the connection, with
  // ETIMEDOUT, when none came for `silence`.
  void watch(std::chrono::milliseconds silence);

  std::string explain(const ErrorCode& ec);

 private:
  HttpStream stream_;
  const std::string host_;
  const std::shared_ptr<const TlsClient> tls_;
};

}  // namespace millrace::common
