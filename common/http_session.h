// One connection of the HTTP server: reads a request, lets the handler answer it, writes the answer, and again.
#pragma once

#include <array>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "common/http_deadline.h"
#include "common/http_exchange.h"
#include "common/http_request_parser.h"
#include "common/http_server.h"
#include "common/http_stream.h"
#include "common/http_tls.h"

namespace millrace::common {

// How long a closing connection still reads what the client sends.
constexpr std::chrono::milliseconds kHttpLinger{2000};

// What all sessions of a server share.
struct HttpService {
  HttpServerOptions options;
  HttpHandler handler;

  // An answer of the server itself.
  HttpResponse error(int status, const std::string& message) const;
};

// All methods but post() run on the session's strand. It lives as long as an operation or a deadline refers to it; the
// service outlives it.
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  // `tls` is null on a port without TLS.
  HttpSession(const HttpService& service, HttpStream::Socket socket, HttpStrand strand,
              std::shared_ptr<TlsContext> tls);

  // Has the method called on the strand. Any thread.
  void post(void (HttpSession::*action)()) {
    boost::asio::post(strand_, [self = shared_from_this(), action] { ((*self).*action)(); });
  }

  void start();
  void stop();   // finishes the answer in progress, then closes; closes at once when there is none
  void close();  // at once

 private:
  using ErrorCode = boost::system::error_code;
  enum class State { kHandshake, kIdle, kRequest, kAnswer, kLinger, kClosed };

  // Before and between requests.
  void shake_hands();
  void wait_for_request();
  void read_some();
  void on_read(const ErrorCode& ec, std::size_t size);

  // A request.
  void read_header();
  void on_header();
  void read_body();
  bool accept_read(const ErrorCode& ec);
  void on_request_timeout();
  void refuse(const HttpRefusal& refusal);
  void dispatch();

  // Its answer.
  void defer(const HttpDeferred& start);
  void forward();
  void answer(HttpResponse response);
  void answered();
  void write(std::string bytes, void (HttpSession::*next)());

  // The end.
  void finish();
  void half_close();
  void discard_input();

  const HttpService& service_;
  HttpStrand strand_;
  std::shared_ptr<TlsContext> tls_;
  HttpStream stream_;
  boost::beast::flat_buffer buffer_;
  std::optional<HttpRequestParser> parser_;
  HttpDeadline read_deadline_;
  HttpDeadline write_deadline_;
  std::shared_ptr<HttpExchange> exchange_;  // with the writer of a deferred answer
  std::string output_;
  State state_ = State::kHandshake;
  std::array<char, 4096> discarded_{};
  std::size_t lingered_ = 0;
  bool half_closed_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool keep_alive_ = false;
  bool http_1_0_ = false;
  bool head_only_ = false;
  bool closing_ = false;
};

}  // namespace millrace::common
