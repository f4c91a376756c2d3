#include "common/http_client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "common/error.h"
#include "common/http_tls.h"

namespace millrace::common {
namespace {

namespace net = boost::asio;
namespace http = boost::beast::http;
using boost::beast::error_code;
using net::ip::tcp;

// Every operation is asynchronous with a deadline, and run() waits for it alone.
class Connection {
 public:
  explicit Connection(const HttpCall& call) : call_(call), stream_(context_) {}

  void connect() {
    connect_socket();
    if (!call_.tls) return;
    call_.tls->prepare(stream_, call_.host);
    run([&](auto done) { stream_.tls()->async_handshake(net::ssl::stream_base::client, done); });
  }

  void send() {
    http::request<http::string_body> request;
    request.method_string(call_.method);
    request.target(call_.target);
    request.version(11);
    request.set(http::field::host, call_.host + ":" + std::to_string(call_.port));
    request.set(http::field::connection, "close");
    for (const auto& [name, value] : call_.headers) request.set(name, value);
    if (!call_.body.empty()) request.set(http::field::content_type, call_.content_type);
    request.body() = call_.body;
    request.prepare_payload();
    run([&](auto done) { http::async_write(stream_, request, [done](error_code ec, std::size_t) { done(ec); }); });
  }

  HttpResponse read_head() {
    parser_.body_limit(call_.max_body_bytes);
    run([&](auto done) {
      http::async_read_header(stream_, buffer_, parser_, [done](error_code ec, std::size_t) { done(ec); });
    });
    HttpResponse response;
    response.status = static_cast<int>(parser_.get().result_int());
    response.content_type = std::string(parser_.get()[http::field::content_type]);
    for (const auto& field : parser_.get()) response.headers.emplace_back(field.name_string(), field.value());
    return response;
  }

  std::string read_body() {
    std::string body;
    read_pieces([&body](std::string_view piece) {
      body += piece;
      return true;
    });
    return body;
  }

  void read_pieces(const std::function<bool(std::string_view)>& on_data) {
    std::array<char, 16384> piece;
    while (!parser_.is_done()) {
      auto& body = parser_.get().body();
      body.data = piece.data();
      body.size = piece.size();
      body.more = true;
      run([&](auto done) {
        http::async_read_some(stream_, buffer_, parser_, [done](error_code ec, std::size_t) {
          done(ec == http::error::need_buffer ? error_code() : ec);
        });
      });
      const std::size_t size = piece.size() - body.size;
      if (size > 0 && !on_data(std::string_view(piece.data(), size))) return;
    }
  }

  // From here on the time-out counts from each operation, not from the start.
  void restart_deadline_per_operation() { per_operation_ = true; }

 private:
  void connect_socket() {
    error_code is_name;
    const auto address = net::ip::make_address(call_.host, is_name);
    if (!is_name) {  // looking a name up would cost a thread
      run([&](auto done) { stream_.socket().async_connect(tcp::endpoint(address, call_.port), done); });
      return;
    }
    tcp::resolver resolver(context_);
    tcp::resolver::results_type endpoints;
    run([&](auto done) {
      resolver.async_resolve(call_.host, std::to_string(call_.port), [&endpoints, done](error_code ec, auto results) {
        endpoints = results;
        done(ec);
      });
    });
    run([&](auto done) {
      net::async_connect(stream_.socket(), endpoints, [done](error_code ec, const tcp::endpoint&) { done(ec); });
    });
  }

  template <typename Start>
  void run(Start start) {
    const auto now = std::chrono::steady_clock::now();
    if (per_operation_) deadline_ = now + call_.timeout;
    error_code result = net::error::would_block;
    start([&result](error_code ec) { result = ec; });
    context_.restart();
    {
      const std::stop_callback on_stop(call_.stop, [this] { context_.stop(); });
      context_.run_until(deadline_);
    }
    if (result == net::error::would_block) {
      error_code ignored;
      stream_.socket().close(ignored);
      context_.stop();
      // The lambda above dies with this frame; the operation's handler must have run before.
      context_.restart();
      context_.run_for(std::chrono::seconds(5));
      if (call_.stop.stop_requested()) fail(Code::kCancelled, "stopped");
      fail(Code::kDeadlineExceeded, "no answer within " + std::to_string(call_.timeout.count()) + " ms");
    }
    if (result == http::error::body_limit) fail(Code::kResourceExhausted, "the answer is too large");
    if (result.category() == net::error::get_ssl_category())
      fail(Code::kUnavailable, tls_failure(*stream_.tls(), result));
    if (result) fail(Code::kUnavailable, result.message());
  }

  [[noreturn]] void fail(Code code, const std::string& what) const { throw call_failure(code, call_, what); }

  const HttpCall& call_;
  net::io_context context_;
  HttpStream stream_;
  boost::beast::flat_buffer buffer_;
  http::response_parser<http::buffer_body> parser_;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::now() + call_.timeout;
  bool per_operation_ = false;
};

}  // namespace

Error call_failure(Code code, const HttpCall& call, const std::string& what) {
  const char* scheme = call.tls ? " https://" : " http://";
  return Error(code, call.method + scheme + call.host + ":" + std::to_string(call.port) + call.target + ": " + what);
}

HttpResponse http_call(const HttpCall& call) {
  Connection connection(call);
  connection.connect();
  connection.send();
  HttpResponse response = connection.read_head();
  response.body = connection.read_body();
  return response;
}

HttpResponse http_stream(const HttpCall& call, const std::function<bool(std::string_view)>& on_data) {
  Connection connection(call);
  connection.connect();
  connection.send();
  HttpResponse response = connection.read_head();
  connection.restart_deadline_per_operation();
  if (response.status / 100 == 2) {
    connection.read_pieces(on_data);
  } else {
    response.body = connection.read_body();
  }
  return response;
}

}  // namespace millrace::common
