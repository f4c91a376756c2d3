#include "common/http_session.h"

#include <boost/asio/write.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/read.hpp>
#include <utility>

#include "common/log.h"

namespace millrace::common {
namespace {

namespace net = boost::asio;
namespace http = boost::beast::http;
using net::ip::tcp;

constexpr std::size_t kLingerBytes = 1 << 20;

}  // namespace

HttpResponse HttpService::error(int status, const std::string& message) const {
  if (options.error_response) return options.error_response(status, message);
  return {.status = status, .body = message + "\n", .content_type = "text/plain"};
}

HttpSession::HttpSession(const HttpService& service, tcp::socket socket, HttpStrand strand,
                         std::shared_ptr<TlsContext> tls)
    : service_(service),
      strand_(std::move(strand)),
      tls_(std::move(tls)),
      stream_(std::move(socket)),
      buffer_(service.options.max_header_bytes + (64 << 10)),
      read_deadline_(strand_),
      write_deadline_(strand_) {}

void HttpSession::start() {
  ErrorCode ignored;
  stream_.socket().set_option(tcp::no_delay(true), ignored);
  tls_ ? shake_hands() : wait_for_request();
}

// Whatever goes wrong ends the connection: there is no way to say it.
void HttpSession::shake_hands() {
  read_deadline_.set(service_.options.header_timeout, shared_from_this(), &HttpSession::close);
  const auto done = [self = shared_from_this()](const ErrorCode& ec) {
    if (self->state_ == State::kClosed) return;
    if (!ec) return self->wait_for_request();
    log_debug("no TLS connection", {{"error", ec.message()}});
    self->close();
  };
  stream_.use_tls(*tls_).async_handshake(boost::asio::ssl::stream_base::server, done);
}

void HttpSession::wait_for_request() {
  state_ = State::kIdle;
  if (closing_) return finish();
  if (buffer_.size() > 0) return read_header();
  read_deadline_.set(service_.options.idle_timeout, shared_from_this(), &HttpSession::close);
  read_some();
}

// One read is outstanding while idle (the next request), answering (the client leaves) and lingering.
void HttpSession::read_some() {
  if (reading_ || state_ == State::kClosed) return;
  reading_ = true;
  stream_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](const ErrorCode& ec, std::size_t size) {
    self->reading_ = false;
    self->on_read(ec, size);
  });
}

void HttpSession::on_read(const ErrorCode& ec, std::size_t size) {
  if (state_ == State::kClosed) return;
  if (ec) return close();
  if (state_ == State::kLinger) return half_closed_ ? discard_input() : void();
  buffer_.commit(size);
  if (state_ == State::kIdle) read_header();
}

void HttpSession::read_header() {
  state_ = State::kRequest;
  parser_.emplace();
  parser_->header_limit(service_.options.max_header_bytes);
  parser_->body_limit(service_.options.max_body_bytes);
  read_deadline_.set(service_.options.header_timeout, shared_from_this(), &HttpSession::on_request_timeout);
  http::async_read_header(stream_, buffer_, *parser_, [self = shared_from_this()](const ErrorCode& ec, std::size_t) {
    if (self->accept_read(ec)) self->on_header();
  });
}

void HttpSession::on_header() {
  keep_alive_ = parser_->keep_alive();
  http_1_0_ = parser_->get().version() < 11;
  read_deadline_.set(service_.options.body_timeout, shared_from_this(), &HttpSession::on_request_timeout);
  const auto expect = parser_->get()[http::field::expect];
  if (boost::beast::iequals(expect, "100-continue") && !parser_->is_done()) {
    return write("HTTP/1.1 100 Continue\r\n\r\n", &HttpSession::read_body);
  }
  read_body();
}

void HttpSession::read_body() {
  http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](const ErrorCode& ec, std::size_t) {
    if (self->accept_read(ec)) self->dispatch();
  });
}

// False when the connection ends or an error answer is on its way.
bool HttpSession::accept_read(const ErrorCode& ec) {
  if (state_ != State::kRequest) return false;
  if (!ec) return true;
  if (const std::optional<HttpRefusal> refusal = refusal_of(ec, service_.options)) {
    refuse(*refusal);
  } else {
    close();
  }
  return false;
}

void HttpSession::on_request_timeout() {
  state_ = State::kAnswer;
  ErrorCode ignored;
  stream_.socket().cancel(ignored);
  refuse({408, "the request did not arrive in time"});
}

void HttpSession::refuse(const HttpRefusal& refusal) {
  read_deadline_.clear();
  keep_alive_ = false;
  head_only_ = false;
  answer(service_.error(refusal.status, refusal.message));
}

void HttpSession::dispatch() {
  read_deadline_.clear();
  HttpRequest request = to_request(parser_->release());
  head_only_ = request.method == "HEAD";
  state_ = State::kAnswer;
  try {
    HttpReply reply = service_.handler(std::move(request));
    if (auto* response = std::get_if<HttpResponse>(&reply)) return answer(std::move(*response));
    defer(std::get<HttpDeferred>(reply));
  } catch (const std::exception& error) {
    log_error("request handler failed", {{"error", error.what()}});
    // A deferred handler that throws drops its writer, which answers for it.
    if (!exchange_) answer(service_.error(500, "internal error"));
  }
}

void HttpSession::defer(const HttpDeferred& start) {
  // Holds no strand: writers may outlive the server, whose sessions are then gone.
  exchange_ = std::make_shared<HttpExchange>(service_.options.max_buffered_bytes, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->post(&HttpSession::forward);
  });
  if (buffer_.size() == 0) read_some();
  start(HttpExchange::writer(exchange_));
}

// Moves what the exchange holds to the socket, one write at a time.
void HttpSession::forward() {
  if (writing_ || !exchange_ || state_ != State::kAnswer) return;
  HttpExchange::Output output = exchange_->take();
  if (output.failed) return close();
  if (output.dropped) {
    exchange_.reset();
    return answer(service_.error(500, "internal error"));
  }
  if (output.head && !output.streamed) {
    exchange_.reset();
    return answer(std::move(*output.head));
  }
  std::string bytes;
  if (output.head) {
    keep_alive_ = keep_alive_ && !http_1_0_ && !output.head->close;
    const auto framing = http_1_0_ ? HttpFraming::kUntilClose : HttpFraming::kChunked;
    bytes = format_http_head(*output.head, framing, keep_alive_ && !closing_);
    output.data.insert(0, output.head->body);
  }
  bytes += http_1_0_ ? output.data : format_http_chunk(output.data);
  if (output.ended) {
    exchange_.reset();
    if (!http_1_0_) bytes += kLastHttpChunk;
    return write(std::move(bytes), &HttpSession::answered);
  }
  if (!bytes.empty()) write(std::move(bytes), &HttpSession::forward);
}

void HttpSession::answer(HttpResponse response) {
  state_ = State::kAnswer;
  keep_alive_ = keep_alive_ && !response.close && !closing_;
  std::string bytes = format_http_head(response, HttpFraming::kLength, keep_alive_);
  if (!head_only_) bytes += response.body;
  write(std::move(bytes), &HttpSession::answered);
}

void HttpSession::answered() {
  keep_alive_ ? wait_for_request() : finish();
}

void HttpSession::write(std::string bytes, void (HttpSession::*next)()) {
  writing_ = true;
  output_ = std::move(bytes);
  write_deadline_.set(service_.options.write_timeout, shared_from_this(), &HttpSession::close);
  net::async_write(stream_, net::buffer(output_), [self = shared_from_this(), next](const ErrorCode& ec, std::size_t) {
    self->writing_ = false;
    if (self->state_ == State::kClosed) return;
    self->write_deadline_.clear();
    if (ec) return self->close();
    ((*self).*next)();
  });
}

// Half-closes and reads on for a moment: closing with unread input would reset the connection, and the client would
// lose the answer.
void HttpSession::finish() {
  if (state_ == State::kClosed) return;
  state_ = State::kLinger;
  read_deadline_.set(kHttpLinger, shared_from_this(), &HttpSession::close);
  if (stream_.tls() == nullptr) return half_close();
  stream_.tls()->async_shutdown([self = shared_from_this()](const ErrorCode&) {
    if (self->state_ != State::kClosed) self->half_close();
  });
}

void HttpSession::half_close() {
  half_closed_ = true;
  ErrorCode ignored;
  stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
  if (!reading_) discard_input();
}

// Into a buffer of its own: a parser's cancelled read may still refer to the other. Past TLS, which has ended.
void HttpSession::discard_input() {
  stream_.socket().async_read_some(net::buffer(discarded_),
                                   [self = shared_from_this()](const ErrorCode& ec, std::size_t size) {
                                     if (self->state_ == State::kClosed) return;
                                     self->lingered_ += size;
                                     if (ec || self->lingered_ > kLingerBytes) return self->close();
                                     self->discard_input();
                                   });
}

void HttpSession::stop() {
  closing_ = true;
  if (state_ == State::kIdle || state_ == State::kHandshake) close();
}

void HttpSession::close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  read_deadline_.clear();
  write_deadline_.clear();
  ErrorCode ignored;
  stream_.socket().close(ignored);
  if (exchange_) exchange_->client_gone();
  exchange_.reset();
}

}  // namespace millrace::common
