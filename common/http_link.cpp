#include "common/http_link.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <utility>

namespace millrace::common {
namespace {

namespace net = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::size_t kReadSize = 4096;

std::string one_line(std::string_view text) {
  std::string line(text);
  std::erase_if(line, [](char c) { return c == '\r' || c == '\n'; });
  return line;
}

std::string to_bytes(const HttpCall& call) {
  const bool v6 = call.host.find(':') != std::string::npos;
  std::string bytes = call.method + " " + one_line(call.target) + " HTTP/1.1\r\nHost: ";
  bytes += (v6 ? "[" + call.host + "]" : call.host) + ":" + std::to_string(call.port) + "\r\n";
  for (const auto& [name, value] : call.headers) bytes += name + ": " + one_line(value) + "\r\n";
  if (!call.body.empty()) bytes += "Content-Type: " + call.content_type + "\r\n";
  if (!call.body.empty() || call.method != "GET") {
    bytes += "Content-Length: " + std::to_string(call.body.size()) + "\r\n";
  }
  return bytes + "\r\n" + call.body;
}

// The end of a connection that did not come from the peer or its kernel: nobody was there.
bool was_silent(const error_code& ec) {
  return ec == net::error::timed_out || ec == net::error::host_unreachable || ec == net::error::network_unreachable;
}

}  // namespace

void HttpLink::add(HttpCall call, HttpPool::Done done) {
  forgotten_ = false;
  auto exchange = std::make_shared<Exchange>();
  exchange->request = to_bytes(call);
  exchange->parser.body_limit(call.max_body_bytes);
  exchange->call = std::move(call);
  exchange->done = std::move(done);
  waiting_.push_back(std::move(exchange));
  next();
}

void HttpLink::next() {
  if (exchange_) return;
  if (waiting_.empty()) {
    if (!connected_) links_.unused(peer_);
    return;
  }
  exchange_ = std::move(waiting_.front());
  waiting_.erase(waiting_.begin());
  if (connected_ && !wire_->suits(exchange_->call)) close();
  if (!connected_) return get_in_line();
  exchange_->reused = true;
  start_clock();
  send();
}

void HttpLink::start_clock() {
  if (!exchange_->deadline) exchange_->deadline = Clock::now() + exchange_->call.timeout;
  links_.set_busy(shared_from_this(), true);
}

void HttpLink::get_in_line() {
  if (!in_turn_ && !std::exchange(in_line_, true)) links_.enter(shared_from_this());
}

void HttpLink::connect() {
  in_line_ = false;
  in_turn_ = true;
  if (!exchange_) return end_turn();
  start_clock();
  error_code ec;
  const auto address = net::ip::make_address(peer_.host, ec);
  if (ec) return fail(Code::kInvalidArgument, "the host is no numeric address");
  wire_ = links_.make_wire(exchange_->call);
  ++wire_number_;
  wire_->connect({address, peer_.port}, [self = shared_from_this(), number = wire_number_](const error_code& failure) {
    if (number == self->wire_number_) self->on_connected(failure);
  });
}

void HttpLink::on_connected(const error_code& ec) {
  end_turn();
  if (ec) return broken(ec);
  connected_ = true;
  links_.opened();
  wire_->watch(silence_);
  wait_for_byte();
  send();
}

void HttpLink::send() {
  const auto& request = exchange_->request;
  wire_->write_all(net::buffer(request),
                   [self = shared_from_this(), exchange = exchange_, number = wire_number_](const error_code& ec) {
                     if (ec && number == self->wire_number_ && exchange == self->exchange_) self->broken(ec);
                   });
}

// Outstanding as long as the connection is open: an answer begins with it, or an idle connection ends.
void HttpLink::wait_for_byte() {
  wire_->read_some(net::buffer(byte_),
                   [self = shared_from_this(), number = wire_number_](const error_code& ec, std::size_t) {
                     if (number == self->wire_number_) self->on_byte(ec);
                   });
}

void HttpLink::on_byte(const error_code& ec) {
  if (exchange_) {
    if (ec) return broken(ec);
    exchange_->answered = true;
    net::buffer_copy(exchange_->input.prepare(1), net::buffer(byte_));
    exchange_->input.commit(1);
    return read_more();
  }
  close();
  links_.lost(peer_, was_silent(ec) ? silence_ : std::chrono::milliseconds(0));
  next();
}

void HttpLink::read_more() {
  wire_->read_some(
      exchange_->input.prepare(kReadSize),
      [self = shared_from_this(), exchange = exchange_, number = wire_number_](const error_code& ec, std::size_t size) {
        if (number != self->wire_number_ || exchange != self->exchange_) return;
        exchange->input.commit(size);
        self->parse(ec);
      });
}

void HttpLink::parse(const error_code& ec) {
  Parser& parser = exchange_->parser;
  if (ec && ec != net::error::eof) return broken(ec);
  error_code fault;
  while (!fault && exchange_->input.size() > 0 && !parser.is_done()) {
    const std::size_t taken = parser.put(exchange_->input.data(), fault);
    if (taken == 0) break;
    exchange_->input.consume(taken);
  }
  if (fault == http::error::need_more) fault = {};
  if (!fault && ec && !parser.is_done()) parser.put_eof(fault);
  if (fault == http::error::body_limit) return fail(Code::kResourceExhausted, "the answer is too large");
  if (fault) return broken(fault);
  if (parser.is_done()) return complete();
  ec ? broken(ec) : read_more();
}

void HttpLink::complete() {
  HttpResult result;
  auto& message = exchange_->parser.get();
  result.response.status = static_cast<int>(message.result_int());
  result.response.content_type = std::string(message[http::field::content_type]);
  result.response.body = std::move(message.body());
  result.kept = exchange_->parser.keep_alive() && exchange_->input.size() == 0 && !forgotten_ && links_.may_keep();
  if (result.kept) {
    wait_for_byte();
  } else {
    close();
  }
  finish(std::move(result));
}

void HttpLink::broken(const error_code& ec) {
  if (!exchange_->reused || exchange_->answered) return fail(Code::kUnavailable, wire_->explain(ec));
  // Most likely the peer closed the connection just when the request was on its way.
  close();
  exchange_->reused = false;
  get_in_line();
}

void HttpLink::check_deadline(Clock::time_point now) {
  if (!exchange_ || !exchange_->deadline || now < *exchange_->deadline) return;
  fail(Code::kDeadlineExceeded, "no answer within " + std::to_string(exchange_->call.timeout.count()) + " ms");
}

void HttpLink::forget() {
  forgotten_ = true;
  if (exchange_) return;
  close();
  next();
}

void HttpLink::cancel() {
  const auto self = shared_from_this();
  while (exchange_) fail(Code::kCancelled, "stopped");
  close();
}

void HttpLink::fail(Code code, const std::string& what) {
  close();
  HttpResult result;
  result.error = call_failure(code, exchange_->call, what);
  finish(std::move(result));
}

void HttpLink::finish(HttpResult result) {
  const auto self = shared_from_this();
  const ExchangePtr exchange = std::move(exchange_);
  links_.set_busy(self, false);
  exchange->done(std::move(result));
  next();
}

void HttpLink::close() {
  if (wire_) wire_->close();
  wire_.reset();
  ++wire_number_;
  if (std::exchange(connected_, false)) links_.closed();
  end_turn();
}

void HttpLink::end_turn() {
  if (std::exchange(in_turn_, false)) links_.leave();
}

}  // namespace millrace::common
