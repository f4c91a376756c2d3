#include "common/http_wire.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "common/http_tls.h"

namespace millrace::common {
namespace {

namespace net = boost::asio;
using net::ip::tcp;

void set_option(int socket, int level, int name, int value) {
  // Best effort: without it a silent peer is noticed by the next question only.
  static_cast<void>(setsockopt(socket, level, name, &value, sizeof value));
}

}  // namespace

void HttpWire::connect(const tcp::endpoint& peer, std::function<void(ErrorCode)> done) {
  stream_.socket().async_connect(peer, [self = shared_from_this(), done = std::move(done)](ErrorCode ec) mutable {
    if (ec) return done(ec);
    ErrorCode ignored;
    self->stream_.socket().set_option(tcp::no_delay(true), ignored);
    if (!self->tls_) return done(ec);
    self->tls_->prepare(self->stream_, self->host_);
    HttpStream::Tls& tls = *self->stream_.tls();
    tls.async_handshake(net::ssl::stream_base::client,
                        [self, done = std::move(done)](ErrorCode failure) { done(failure); });
  });
}

void HttpWire::read_some(net::mutable_buffer into, std::function<void(ErrorCode, std::size_t)> done) {
  stream_.async_read_some(
      into, [self = shared_from_this(), done = std::move(done)](ErrorCode ec, std::size_t size) { done(ec, size); });
}

void HttpWire::write_all(net::const_buffer from, std::function<void(ErrorCode)> done) {
  net::async_write(stream_, from,
                   [self = shared_from_this(), done = std::move(done)](ErrorCode ec, std::size_t) { done(ec); });
}

void HttpWire::close() {
  ErrorCode ignored;
  stream_.socket().close(ignored);
}

void HttpWire::watch(std::chrono::milliseconds silence) {
  const int socket = stream_.socket().native_handle();
  const auto half = std::chrono::duration_cast<std::chrono::seconds>(silence / 2).count();
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(std::max<std::int64_t>(1, half)));
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(silence.count()));
}

std::string HttpWire::explain(const ErrorCode& ec) {
  const bool of_tls = stream_.tls() != nullptr && ec.category() == net::error::get_ssl_category();
  return of_tls ? tls_failure(*stream_.tls(), ec) : ec.message();
}

}  // namespace millrace::common
