// One peer of an HttpPool: its connection and the calls that wait for it. Everything runs on the pool's thread.
#pragma once

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/http_pool.h"
#include "common/http_wire.h"

namespace millrace::common {

class HttpLink;

// What links need of their pool.
class HttpLinks {
 public:
  using LinkPtr = std::shared_ptr<HttpLink>;

  virtual std::shared_ptr<HttpWire> make_wire(const HttpCall& call) = 0;
  // The link may connect: now or when others are done. Every enter() is followed by a leave().
  virtual void enter(const LinkPtr& link) = 0;
  virtual void leave() = 0;
  virtual void set_busy(const LinkPtr& link, bool busy) = 0;  // has a deadline
  virtual bool may_keep() const = 0;
  virtual void opened() = 0;
  virtual void closed() = 0;
  virtual void lost(const HttpPeer& peer, std::chrono::milliseconds silent_for) = 0;
  virtual void unused(const HttpPeer& peer) = 0;  // neither connection nor calls: may be destroyed

 protected:
  ~HttpLinks() = default;
};

class HttpLink : public std::enable_shared_from_this<HttpLink> {
 public:
  using Clock = std::chrono::steady_clock;

  HttpLink(HttpLinks& links, HttpPeer peer, std::chrono::milliseconds silence)
      : links_(links), peer_(std::move(peer)), silence_(silence) {}

  void add(HttpCall call, HttpPool::Done done);
  void connect();  // it is this link's turn
  void check_deadline(Clock::time_point now);
  void forget();  // closes when idle
  void cancel();  // ends all calls

 private:
  using ErrorCode = boost::system::error_code;
  using Parser = boost::beast::http::response_parser<boost::beast::http::string_body>;

  struct Exchange {
    HttpCall call;
    HttpPool::Done done;
    std::string request;
    std::optional<Clock::time_point> deadline;  // from its turn on
    boost::beast::flat_buffer input;
    Parser parser;
    bool reused = false;    // the connection was there before
    bool answered = false;  // something has come
  };

  using ExchangePtr = std::shared_ptr<Exchange>;  // with the operations that use its buffers

  void next();
  void get_in_line();
  void start_clock();
  void on_connected(const ErrorCode& ec);
  void send();
  void wait_for_byte();
  void on_byte(const ErrorCode& ec);
  void read_more();
  void parse(const ErrorCode& ec);
  void complete();
  void broken(const ErrorCode& ec);
  void fail(Code code, const std::string& what);
  void finish(HttpResult result);
  void close();
  void end_turn();

  HttpLinks& links_;
  const HttpPeer peer_;
  const std::chrono::milliseconds silence_;
  std::vector<ExchangePtr> waiting_;
  ExchangePtr exchange_;
  std::shared_ptr<HttpWire> wire_;
  std::uint64_t wire_number_ = 0;  // handlers of an earlier wire come too late
  bool connected_ = false;
  bool in_line_ = false;  // before it
  bool in_turn_ = false;  // between enter() and leave()
  bool forgotten_ = false;
  std::array<char, 1> byte_{};  // an idle connection needs no more buffer
};

}  // namespace millrace::common
