#include "common/http_server.h"

#include <utility>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "common/error.h"
#include "common/http_exchange.h"
#include "common/log.h"

namespace millrace::common {
namespace {

namespace net = boost::asio;
namespace http = boost::beast::http;
using boost::beast::error_code;
using net::ip::tcp;
using Strand = net::strand<net::io_context::executor_type>;
using std::chrono::milliseconds;

constexpr milliseconds kLingerTimeout{2000};
constexpr std::size_t kLingerBytes = 1 << 20;
constexpr milliseconds kAcceptPause{100};

// A timer that calls `expired` unless it is set again or cleared first. Lives on its session's strand.
class Deadline {
 public:
  explicit Deadline(const Strand& strand) : timer_(strand) {}

  template <typename Owner>
  void set(milliseconds after, const std::shared_ptr<Owner>& owner, void (Owner::*expired)()) {
    const auto round = ++round_;
    timer_.expires_after(after);
    timer_.async_wait([this, owner, expired, round](error_code ec) {
      if (!ec && round == round_) (owner.get()->*expired)();
    });
  }
  void clear() {
    ++round_;
    timer_.cancel();
  }

 private:
  net::basic_waitable_timer<std::chrono::steady_clock, net::wait_traits<std::chrono::steady_clock>, Strand> timer_;
  std::uint64_t round_ = 0;  // a handler already queued when the deadline moved must not fire
};

HttpRequest to_request(http::request<http::string_body>&& message) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  const std::string target(message.target());
  const auto question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string::npos) request.query = target.substr(question + 1);
  for (const auto& field : message) request.headers.emplace_back(field.name_string(), field.value());
  request.body = std::move(message.body());
  return request;
}

}  // namespace

class HttpServer::Impl {
 public:
  class Session;

  Impl(HttpServerOptions options, HttpHandler handler);
  ~Impl() { stop(milliseconds{0}); }

  std::uint16_t port() const { return port_; }
  std::size_t connections() const;
  void stop(milliseconds grace);

  const HttpServerOptions& options() const { return options_; }
  const HttpHandler& handler() const { return handler_; }
  HttpResponse error(int status, const std::string& message) const;
  void forget(std::uint64_t session);

 private:
  void accept();
  void on_accept(error_code ec, tcp::socket socket, const Strand& strand);
  std::shared_ptr<Session> admit(tcp::socket& socket, const Strand& strand);
  void refuse(tcp::socket socket) const;
  template <typename Action>
  void for_each_session(Action action);

  const HttpServerOptions options_;
  const HttpHandler handler_;
  std::uint16_t port_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable session_ended_;
  std::unordered_map<std::uint64_t, std::weak_ptr<Session>> sessions_;
  std::uint64_t next_session_ = 0;
  bool stopping_ = false;

  // After what sessions use: destroying the context destroys the sessions that its queues still hold.
  net::io_context context_;
  Strand strand_{net::make_strand(context_)};  // of the acceptor
  tcp::acceptor acceptor_{context_};
  net::steady_timer pause_{context_};
  std::optional<net::executor_work_guard<net::io_context::executor_type>> work_{context_.get_executor()};
  std::vector<std::thread> threads_;
};

// A connection. All methods run on its strand. It lives as long as an operation or a deadline refers to it.
class HttpServer::Impl::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Impl& server, tcp::socket socket, Strand strand)
      : server_(server),
        strand_(std::move(strand)),
        socket_(std::move(socket)),
        buffer_(server.options().max_header_bytes + (64 << 10)),
        read_deadline_(strand_),
        write_deadline_(strand_) {}

  template <typename Action>
  void post(Action action) {
    net::post(strand_, [self = shared_from_this(), action] { ((*self).*action)(); });
  }

  void start() {
    error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    wait_for_request();
  }

  // Finish the answer in progress, then close; close at once when there is none.
  void stop() {
    closing_ = true;
    if (state_ == State::kIdle) close();
  }

  void close() {
    if (state_ == State::kClosed) return;
    state_ = State::kClosed;
    read_deadline_.clear();
    write_deadline_.clear();
    error_code ignored;
    socket_.close(ignored);
    if (exchange_) exchange_->client_gone();
    exchange_.reset();
  }

 private:
  enum class State { kIdle, kRequest, kAnswer, kLinger, kClosed };

  // One read is outstanding while idle (the next request), answering (the client leaves) and lingering.
  void read_some() {
    if (reading_ || state_ == State::kClosed) return;
    reading_ = true;
    socket_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](error_code ec, std::size_t size) {
      self->reading_ = false;
      self->on_read(ec, size);
    });
  }

  void on_read(error_code ec, std::size_t size) {
    if (state_ == State::kClosed) return;
    if (ec) return close();
    if (state_ == State::kLinger) return discard_input();
    buffer_.commit(size);
    if (state_ == State::kIdle) read_header();
  }

  // Into a buffer of its own: a parser's cancelled read may still refer to the other.
  void discard_input() {
    socket_.async_read_some(net::buffer(discarded_), [self = shared_from_this()](error_code ec, std::size_t size) {
      if (self->state_ == State::kClosed) return;
      self->lingered_ += size;
      if (ec || self->lingered_ > kLingerBytes) return self->close();
      self->discard_input();
    });
  }

  void wait_for_request() {
    state_ = State::kIdle;
    if (closing_) return finish();
    if (buffer_.size() > 0) return read_header();
    read_deadline_.set(server_.options().idle_timeout, shared_from_this(), &Session::close);
    read_some();
  }

  void read_header() {
    state_ = State::kRequest;
    parser_.emplace();
    parser_->header_limit(server_.options().max_header_bytes);
    parser_->body_limit(server_.options().max_body_bytes);
    read_deadline_.set(server_.options().header_timeout, shared_from_this(), &Session::on_request_timeout);
    http::async_read_header(socket_, buffer_, *parser_, [self = shared_from_this()](error_code ec, std::size_t) {
      if (self->accept_read(ec)) self->on_header();
    });
  }

  void on_header() {
    keep_alive_ = parser_->keep_alive();
    http_1_0_ = parser_->get().version() < 11;
    read_deadline_.set(server_.options().body_timeout, shared_from_this(), &Session::on_request_timeout);
    const auto expect = parser_->get()[http::field::expect];
    if (boost::beast::iequals(expect, "100-continue") && !parser_->is_done()) {
      return write("HTTP/1.1 100 Continue\r\n\r\n", &Session::read_body);
    }
    read_body();
  }

  void read_body() {
    http::async_read(socket_, buffer_, *parser_, [self = shared_from_this()](error_code ec, std::size_t) {
      if (self->accept_read(ec)) self->dispatch();
    });
  }

  // False when the connection ends or an error answer is on its way.
  bool accept_read(error_code ec) {
    if (state_ != State::kRequest) return false;
    if (!ec) return true;
    const HttpServerOptions& options = server_.options();
    if (ec == http::error::body_limit) {
      refuse(413, "the request body is larger than " + std::to_string(options.max_body_bytes) + " bytes");
    } else if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
      refuse(431, "the request header is larger than " + std::to_string(options.max_header_bytes) + " bytes");
    } else if (ec.category() == http::make_error_code(http::error::bad_method).category() &&
               ec != http::error::end_of_stream && ec != http::error::partial_message) {
      refuse(400, "not an HTTP/1.1 request: " + ec.message());
    } else {
      close();
    }
    return false;
  }

  void on_request_timeout() {
    state_ = State::kAnswer;
    error_code ignored;
    socket_.cancel(ignored);
    refuse(408, "the request did not arrive in time");
  }

  void refuse(int status, const std::string& message) {
    read_deadline_.clear();
    keep_alive_ = false;
    head_only_ = false;
    answer(server_.error(status, message));
  }

  void dispatch() {
    read_deadline_.clear();
    HttpRequest request = to_request(parser_->release());
    head_only_ = request.method == "HEAD";
    state_ = State::kAnswer;
    try {
      HttpReply reply = server_.handler()(std::move(request));
      if (auto* response = std::get_if<HttpResponse>(&reply)) return answer(std::move(*response));
      defer(std::get<HttpDeferred>(reply));
    } catch (const std::exception& error) {
      log_error("request handler failed", {{"error", error.what()}});
      // A deferred handler that throws drops its writer, which answers for it.
      if (!exchange_) answer(server_.error(500, "internal error"));
    }
  }

  void defer(const HttpDeferred& start) {
    // Holds no strand: writers may outlive the server, whose sessions are then gone.
    exchange_ = std::make_shared<HttpExchange>(server_.options().max_buffered_bytes, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->post(&Session::forward);
    });
    if (buffer_.size() == 0) read_some();
    start(HttpExchange::writer(exchange_));
  }

  // Moves what the exchange holds to the socket, one write at a time.
  void forward() {
    if (writing_ || !exchange_ || state_ != State::kAnswer) return;
    HttpExchange::Output output = exchange_->take();
    if (output.failed) return close();
    if (output.dropped) {
      exchange_.reset();
      return answer(server_.error(500, "internal error"));
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
      return write(std::move(bytes), &Session::answered);
    }
    if (!bytes.empty()) write(std::move(bytes), &Session::forward);
  }

  void answer(HttpResponse response) {
    state_ = State::kAnswer;
    keep_alive_ = keep_alive_ && !response.close && !closing_;
    std::string bytes = format_http_head(response, HttpFraming::kLength, keep_alive_);
    if (!head_only_) bytes += response.body;
    write(std::move(bytes), &Session::answered);
  }

  void answered() { keep_alive_ ? wait_for_request() : finish(); }

  void write(std::string bytes, void (Session::*next)()) {
    writing_ = true;
    output_ = std::move(bytes);
    write_deadline_.set(server_.options().write_timeout, shared_from_this(), &Session::close);
    net::async_write(socket_, net::buffer(output_), [self = shared_from_this(), next](error_code ec, std::size_t) {
      self->writing_ = false;
      if (self->state_ == State::kClosed) return;
      self->write_deadline_.clear();
      if (ec) return self->close();
      ((*self).*next)();
    });
  }

  // Half-closes and reads on for a moment: closing with unread input would reset the connection, and the client would
  // lose the answer.
  void finish() {
    if (state_ == State::kClosed) return;
    state_ = State::kLinger;
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    read_deadline_.set(kLingerTimeout, shared_from_this(), &Session::close);
    if (!reading_) discard_input();
  }

  Impl& server_;
  Strand strand_;
  tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  Deadline read_deadline_;
  Deadline write_deadline_;
  std::shared_ptr<HttpExchange> exchange_;
  std::string output_;
  State state_ = State::kIdle;
  std::array<char, 4096> discarded_{};
  std::size_t lingered_ = 0;
  bool reading_ = false;
  bool writing_ = false;
  bool keep_alive_ = false;
  bool http_1_0_ = false;
  bool head_only_ = false;
  bool closing_ = false;
};

HttpServer::Impl::Impl(HttpServerOptions options, HttpHandler handler)
    : options_(std::move(options)), handler_(std::move(handler)) {
  error_code ec;
  const auto address = net::ip::make_address(options_.address, ec);
  if (ec) {
    throw Error(Code::kInvalidArgument,
                "listen address is \"" + options_.address + "\"; expected a numeric address such as 127.0.0.1");
  }
  const tcp::endpoint endpoint(address, options_.port);
  acceptor_.open(endpoint.protocol(), ec);
  if (!ec) acceptor_.set_option(net::socket_base::reuse_address(true), ec);
  if (!ec) acceptor_.bind(endpoint, ec);
  if (!ec) acceptor_.listen(net::socket_base::max_listen_connections, ec);
  if (ec) {
    throw Error(Code::kUnavailable, "cannot listen on " + options_.address + " port " + std::to_string(options_.port) +
                                        ": " + ec.message());
  }
  port_ = acceptor_.local_endpoint().port();
  net::post(strand_, [this] { accept(); });
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { context_.run(); });
}

std::size_t HttpServer::Impl::connections() const {
  const std::lock_guard lock(mutex_);
  return sessions_.size();
}

HttpResponse HttpServer::Impl::error(int status, const std::string& message) const {
  if (options_.error_response) return options_.error_response(status, message);
  return {.status = status, .body = message + "\n", .content_type = "text/plain"};
}

void HttpServer::Impl::accept() {
  if (!acceptor_.is_open()) return;
  const auto strand = net::make_strand(context_);  // of the session to come
  acceptor_.async_accept(strand, net::bind_executor(strand_, [this, strand](error_code ec, auto socket) {
                           on_accept(ec, tcp::socket(std::move(socket)), strand);
                         }));
}

void HttpServer::Impl::on_accept(error_code ec, tcp::socket socket, const Strand& strand) {
  if (ec == net::error::operation_aborted) return;
  if (ec) {
    // Out of file descriptors, most likely: wait for connections to end instead of spinning.
    log_warn("accept failed", {{"error", ec.message()}});
    pause_.expires_after(kAcceptPause);
    pause_.async_wait(net::bind_executor(strand_, [this](error_code) { accept(); }));
    return;
  }
  accept();
  if (const auto session = admit(socket, strand)) {
    session->post(&Session::start);
  } else {
    refuse(std::move(socket));
  }
}

// Null when there are too many; takes the socket otherwise.
std::shared_ptr<HttpServer::Impl::Session> HttpServer::Impl::admit(tcp::socket& socket, const Strand& strand) {
  const std::lock_guard lock(mutex_);
  if (stopping_ || sessions_.size() >= options_.max_connections) return nullptr;
  const std::uint64_t id = next_session_++;
  // Forgotten after it is destroyed, so that stop() outlasts its socket.
  std::shared_ptr<Session> session(new Session(*this, std::move(socket), strand), [this, id](Session* ended) {
    delete ended;
    forget(id);
  });
  sessions_.emplace(id, session);
  return session;
}

// Best effort, without waiting: this is the path of overload.
void HttpServer::Impl::refuse(tcp::socket socket) const {
  const HttpResponse response = error(503, "too many connections");
  const std::string bytes = format_http_head(response, HttpFraming::kLength, false) + response.body;
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(net::buffer(bytes), ignored);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}

void HttpServer::Impl::forget(std::uint64_t session) {
  // Notifies under the lock: after the last session has left, stop() may destroy this object.
  const std::lock_guard lock(mutex_);
  sessions_.erase(session);
  session_ended_.notify_all();
}

template <typename Action>
void HttpServer::Impl::for_each_session(Action action) {
  std::vector<std::shared_ptr<Session>> alive;  // released after the lock: a last reference calls forget()
  const std::lock_guard lock(mutex_);
  for (const auto& [key, weak] : sessions_) {
    if (auto session = weak.lock()) alive.push_back(std::move(session));
  }
  for (const auto& session : alive) session->post(action);
}

void HttpServer::Impl::stop(milliseconds grace) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(stopping_, true)) return;
  }
  net::post(strand_, [this] {
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
  });
  const auto wait_for_sessions = [this](milliseconds limit) {
    std::unique_lock lock(mutex_);
    return session_ended_.wait_for(lock, limit, [this] { return sessions_.empty(); });
  };
  for_each_session(&Session::stop);
  if (!wait_for_sessions(grace)) {
    for_each_session(&Session::close);
    wait_for_sessions(kLingerTimeout);
  }
  work_.reset();
  context_.stop();
  for (auto& thread : threads_) thread.join();
}

HttpServer::HttpServer(HttpServerOptions options, HttpHandler handler)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(handler))) {}
HttpServer::~HttpServer() = default;
std::uint16_t HttpServer::port() const {
  return impl_->port();
}
std::size_t HttpServer::connections() const {
  return impl_->connections();
}
void HttpServer::stop(std::chrono::milliseconds grace) {
  impl_->stop(grace);
}

}  // namespace millrace::common
