#include "common/http_server.h"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/error.h"
#include "common/http_session.h"
#include "common/http_tls.h"
#include "common/log.h"

namespace millrace::common {
namespace {

namespace net = boost::asio;
using boost::system::error_code;
using net::ip::tcp;
using std::chrono::milliseconds;

constexpr milliseconds kAcceptPause{100};

}  // namespace

class HttpServer::Impl {
 public:
  Impl(HttpServerOptions options, HttpHandler handler);
  ~Impl() { stop(milliseconds{0}); }

  std::uint16_t port() const { return port_; }
  std::size_t connections() const;
  void stop(milliseconds grace);

 private:
  void accept();
  void on_accept(error_code ec, tcp::socket socket, const HttpStrand& strand);
  std::shared_ptr<HttpSession> admit(tcp::socket socket, const HttpStrand& strand);
  void refuse(tcp::socket socket) const;
  void forget(std::uint64_t session);
  void for_each_session(void (HttpSession::*action)());

  const HttpService service_;
  std::optional<TlsCertificate> certificate_;  // of a port with TLS; on the acceptor's strand
  std::uint16_t port_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable session_ended_;
  std::unordered_map<std::uint64_t, std::weak_ptr<HttpSession>> sessions_;
  std::uint64_t next_session_ = 0;
  bool stopping_ = false;

  // After what sessions use: destroying the context destroys the sessions that its queues still hold.
  net::io_context context_;
  HttpStrand strand_{net::make_strand(context_)};  // of the acceptor
  tcp::acceptor acceptor_{context_};
  net::steady_timer pause_{context_};
  std::optional<net::executor_work_guard<net::io_context::executor_type>> work_{context_.get_executor()};
  std::vector<std::thread> threads_;
};

HttpServer::Impl::Impl(HttpServerOptions options, HttpHandler handler)
    : service_{std::move(options), std::move(handler)} {
  error_code ec;
  const auto address = net::ip::make_address(service_.options.address, ec);
  if (ec) {
    throw Error(Code::kInvalidArgument,
                "listen address is \"" + service_.options.address + "\"; expected a numeric address such as 127.0.0.1");
  }
  if (service_.options.tls) certificate_.emplace(*service_.options.tls);
  const tcp::endpoint endpoint(address, service_.options.port);
  acceptor_.open(endpoint.protocol(), ec);
  if (!ec) acceptor_.set_option(net::socket_base::reuse_address(true), ec);
  if (!ec) acceptor_.bind(endpoint, ec);
  if (!ec) acceptor_.listen(net::socket_base::max_listen_connections, ec);
  if (ec) {
    throw Error(Code::kUnavailable, "cannot listen on " + service_.options.address + " port " +
                                        std::to_string(service_.options.port) + ": " + ec.message());
  }
  port_ = acceptor_.local_endpoint().port();
  net::post(strand_, [this] { accept(); });
  for (int i = 0; i < service_.options.threads; ++i) threads_.emplace_back([this] { context_.run(); });
}

std::size_t HttpServer::Impl::connections() const {
  const std::lock_guard lock(mutex_);
  return sessions_.size();
}

void HttpServer::Impl::accept() {
  if (!acceptor_.is_open()) return;
  const auto strand = net::make_strand(context_);  // of the session to come
  acceptor_.async_accept(strand, net::bind_executor(strand_, [this, strand](error_code ec, auto socket) {
                           on_accept(ec, tcp::socket(std::move(socket)), strand);
                         }));
}

void HttpServer::Impl::on_accept(error_code ec, tcp::socket socket, const HttpStrand& strand) {
  if (ec == net::error::operation_aborted) return;
  if (ec) {
    // Out of file descriptors, most likely: wait for connections to end instead of spinning.
    log_warn("accept failed", {{"error", ec.message()}});
    pause_.expires_after(kAcceptPause);
    pause_.async_wait(net::bind_executor(strand_, [this](error_code) { accept(); }));
    return;
  }
  accept();
  if (const auto session = admit(std::move(socket), strand)) session->post(&HttpSession::start);
}

// Null when there are too many: then it has been told so.
std::shared_ptr<HttpSession> HttpServer::Impl::admit(tcp::socket socket, const HttpStrand& strand) {
  const std::lock_guard lock(mutex_);
  if (stopping_ || sessions_.size() >= service_.options.max_connections) {
    refuse(std::move(socket));
    return nullptr;
  }
  const std::uint64_t id = next_session_++;
  // Forgotten after it is destroyed, so that stop() outlasts its socket.
  std::shared_ptr<TlsContext> tls = certificate_ ? certificate_->context() : nullptr;
  std::shared_ptr<HttpSession> session(new HttpSession(service_, std::move(socket), strand, std::move(tls)),
                                       [this, id](HttpSession* ended) {
                                         delete ended;
                                         forget(id);
                                       });
  sessions_.emplace(id, session);
  return session;
}

// Best effort, without waiting: this is the path of overload. Nothing is said where it would take a handshake.
void HttpServer::Impl::refuse(tcp::socket socket) const {
  if (certificate_) return;
  const HttpResponse response = service_.error(503, "too many connections");
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

void HttpServer::Impl::for_each_session(void (HttpSession::*action)()) {
  std::vector<std::shared_ptr<HttpSession>> alive;  // released after the lock: a last reference calls forget()
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
  for_each_session(&HttpSession::stop);
  if (!wait_for_sessions(grace)) {
    for_each_session(&HttpSession::close);
    wait_for_sessions(kHttpLinger);
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
