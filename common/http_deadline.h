// A timer of one HTTP session.
#pragma once

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <cstdint>
#include <memory>

namespace millrace::common {

using HttpStrand = boost::asio::strand<boost::asio::io_context::executor_type>;

// Calls a method of its owner unless it is set again or cleared first. Only on the owner's strand.
class HttpDeadline {
 public:
  explicit HttpDeadline(const HttpStrand& strand) : timer_(strand) {}

  template <typename Owner>
  void set(std::chrono::milliseconds after, const std::shared_ptr<Owner>& owner, void (Owner::*expired)()) {
    const auto round = ++round_;
    timer_.expires_after(after);
    timer_.async_wait([this, owner, expired, round](const boost::system::error_code& ec) {
      if (!ec && round == round_) (owner.get()->*expired)();
    });
  }

  void clear() {
    ++round_;
    timer_.cancel();
  }

 private:
  using Clock = std::chrono::steady_clock;
  boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>, HttpStrand> timer_;
  std::uint64_t round_ = 0;  // a handler already queued when the deadline moved must not fire
};

}  // namespace millrace::common
