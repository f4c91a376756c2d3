#include "operator/local/forwarder.h"

#include <utility>  // Boost 1.74 uses std::exchange without it

#include <array>
#include <boost/asio.hpp>
#include <thread>

#include "common/error.h"
#include "common/http.h"

namespace millrace::controller::local {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// One connection and its backend: two pumps, each ends by shutting down the side it writes to.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket client, asio::io_context& io) : client_(std::move(client)), backend_(io) {}

  // shared_ptr: both pumps and the connect hold it; it goes with the last of them.
  void start(const Backend& backend) {
    const tcp::endpoint where(asio::ip::make_address(backend.ip), backend.port);
    backend_.async_connect(where, [self = shared_from_this()](error_code error) {
      if (error) return self->refuse("the group that should answer cannot be reached; try again");
      error_code ignored;
      self->client_.set_option(tcp::no_delay(true), ignored);
      self->backend_.set_option(tcp::no_delay(true), ignored);
      self->pump(self->client_, self->backend_, self->up_);
      self->pump(self->backend_, self->client_, self->down_);
    });
  }

  void refuse(const std::string& message) {
    common::HttpResponse response;
    response.status = 503;
    response.body = R"({"error":{"message":")" + message + R"(","type":"service_unavailable","code":503}})";
    response.headers = {{"Retry-After", "1"}};
    response.close = true;
    answer_ = common::format_http_head(response, common::HttpFraming::kLength, false) + response.body;
    asio::async_write(client_, asio::buffer(answer_), [self = shared_from_this()](error_code, std::size_t) {
      error_code ignored;
      self->client_.shutdown(tcp::socket::shutdown_both, ignored);
    });
  }

 private:
  using Buffer = std::array<char, 16384>;

  void pump(tcp::socket& from, tcp::socket& to, Buffer& buffer) {
    from.async_read_some(asio::buffer(buffer),
                         [self = shared_from_this(), &from, &to, &buffer](error_code error, std::size_t size) {
                           if (error) return self->end(to, error);
                           asio::async_write(to, asio::buffer(buffer.data(), size),
                                             [self, &from, &to, &buffer](error_code failed, std::size_t) {
                                               if (failed) return self->end(from, failed);
                                               self->pump(from, to, buffer);
                                             });
                         });
  }

  // A side that has said all is passed on as such; an error ends both.
  void end(tcp::socket& to, error_code error) {
    error_code ignored;
    if (error == asio::error::eof) {
      to.shutdown(tcp::socket::shutdown_send, ignored);
    } else {
      client_.close(ignored);
      backend_.close(ignored);
    }
  }

  tcp::socket client_;
  tcp::socket backend_;
  Buffer up_{};
  Buffer down_{};
  std::string answer_;
};

}  // namespace

class Forwarder::Impl {
 public:
  Impl(const std::string& address, std::uint16_t port, std::function<std::vector<Backend>()> backends)
      : backends_(std::move(backends)), acceptor_(io_), pause_(io_) {
    const tcp::endpoint where(asio::ip::make_address(address), port);
    error_code error;
    acceptor_.open(where.protocol());
    acceptor_.set_option(tcp::acceptor::reuse_address(true));
    acceptor_.bind(where, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
      throw common::Error(common::Code::kUnavailable, "cannot listen on " + address + ":" + std::to_string(port) +
                                                          ": " + error.message() + "; choose another with --port");
    }
    accept();
    thread_ = std::thread([this] { io_.run(); });
  }

  ~Impl() {
    io_.stop();
    thread_.join();
  }

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket client) {
      if (error == asio::error::operation_aborted) return;
      if (!error) {
        serve(std::move(client));
        return accept();
      }
      pause_.expires_after(std::chrono::milliseconds(100));  // no descriptor is left, most likely
      pause_.async_wait([this](error_code) { accept(); });
    });
  }

  void serve(tcp::socket client) {
    const auto connection = std::make_shared<Connection>(std::move(client), io_);
    const std::vector<Backend> backends = backends_();
    if (backends.empty()) return connection->refuse("no group serves yet; see the table of groups");
    connection->start(backends[next_++ % backends.size()]);
  }

  const std::function<std::vector<Backend>()> backends_;
  asio::io_context io_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::size_t next_ = 0;
  std::thread thread_;
};

Forwarder::Forwarder(const std::string& address, std::uint16_t port, std::function<std::vector<Backend>()> backends)
    : impl_(std::make_unique<Impl>(address, port, std::move(backends))) {}

Forwarder::~Forwarder() = default;

std::uint16_t Forwarder::port() const {
  return impl_->port();
}

}  // namespace millrace::controller::local
