// A TCP connection, with or without TLS on it: what Beast reads from and writes to, on both sides of HTTP.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <optional>
#include <utility>

namespace millrace::common {

// An AsyncStream of Boost. Reading and writing may go on at the same time, all on one strand.
class HttpStream {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using Tls = boost::asio::ssl::stream<Socket&>;
  using executor_type = Socket::executor_type;
  using next_layer_type = Socket;
  using lowest_layer_type = Socket::lowest_layer_type;

  explicit HttpStream(boost::asio::io_context& context) : socket_(context) {}
  explicit HttpStream(Socket socket) : socket_(std::move(socket)) {}
  HttpStream(const HttpStream&) = delete;  // TLS refers to the socket
  HttpStream& operator=(const HttpStream&) = delete;

  executor_type get_executor() { return socket_.get_executor(); }
  Socket& socket() { return socket_; }
  lowest_layer_type& lowest_layer() { return socket_.lowest_layer(); }

  // Before the first byte; then a handshake comes first.
  Tls& use_tls(boost::asio::ssl::context& context) { return tls_.emplace(socket_, context); }
  Tls* tls() { return tls_ ? &*tls_ : nullptr; }

  template <typename Buffers, typename Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (tls_) return static_cast<void>(tls_->async_read_some(buffers, std::forward<Handler>(handler)));
    socket_.async_read_some(buffers, std::forward<Handler>(handler));
  }

  template <typename Buffers, typename Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    if (tls_) return static_cast<void>(tls_->async_write_some(buffers, std::forward<Handler>(handler)));
    socket_.async_write_some(buffers, std::forward<Handler>(handler));
  }

 private:
  Socket socket_;
  std::optional<Tls> tls_;
};

}  // namespace millrace::common
