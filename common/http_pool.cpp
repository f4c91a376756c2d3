#include "common/http_pool.h"

#include <sys/resource.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "common/http_link.h"

namespace millrace::common {
namespace {

namespace net = boost::asio;

// Deadlines are looked at together: a timer for each exchange would cost more than the exchange.
constexpr std::chrono::milliseconds kSweep{20};

HttpPoolOptions complete(HttpPoolOptions options) {
  if (options.max_kept == 0) {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    options.max_kept = files.rlim_cur / 4 * 3;
  }
  return options;
}

}  // namespace

class HttpPool::Impl final : public HttpLinks {
 public:
  explicit Impl(HttpPoolOptions options)
      : options_(complete(std::move(options))),
        sweep_(context_),
        thread_([this] { context_.run(); }),
        on_stop_(std::in_place, options_.stop, [this] { net::post(context_, [this] { cancel(); }); }) {}

  ~Impl() {
    on_stop_.reset();
    net::post(context_, [this] {
      cancel();
      work_.reset();
    });
    thread_.join();
  }

  void call(HttpCall call, Done done) {
    net::post(context_, [this, call = std::move(call), done = std::move(done)]() mutable {
      if (cancelled_) {
        HttpResult result;
        result.error = Error(Code::kCancelled, call.method + " " + call.target + ": stopped");
        return done(std::move(result));
      }
      const HttpPeer peer{call.host, call.port};
      link(peer)->add(std::move(call), std::move(done));
    });
  }

  void forget(const HttpPeer& peer) {
    net::post(context_, [this, peer] {
      if (const auto found = links_.find(peer); found != links_.end()) LinkPtr(found->second)->forget();
    });
  }

  std::uint64_t connects() const { return connects_; }
  std::size_t connections() const { return connections_; }

  std::shared_ptr<HttpWire> make_wire(const HttpCall& call) override {
    ++connects_;
    return std::make_shared<HttpWire>(context_, call);
  }

  void enter(const LinkPtr& link) override {
    line_.push_back(link);
    let_in();
  }

  void leave() override {
    --connecting_;
    // Later: whoever leaves is in the middle of something.
    if (!line_.empty()) net::post(context_, [this] { let_in(); });
  }

  void set_busy(const LinkPtr& link, bool busy) override {
    if (!busy) {
      busy_.erase(link);
    } else if (busy_.insert(link).second && !std::exchange(sweeping_, true)) {
      sweep_soon();
    }
  }

  bool may_keep() const override { return connections_ <= options_.max_kept; }

  void opened() override { ++connections_; }
  void closed() override { --connections_; }

  void lost(const HttpPeer& peer, std::chrono::milliseconds silent_for) override {
    if (options_.on_lost && !cancelled_) options_.on_lost(peer, silent_for);
  }

  void unused(const HttpPeer& peer) override { links_.erase(peer); }

 private:
  LinkPtr link(const HttpPeer& peer) {
    LinkPtr& link = links_[peer];
    if (!link) link = std::make_shared<HttpLink>(*this, peer, options_.silence);
    return link;
  }

  void let_in() {
    while (!line_.empty() && connecting_ < options_.max_connecting) {
      const LinkPtr link = std::move(line_.front());
      line_.pop_front();
      ++connecting_;
      link->connect();
    }
  }

  void sweep_soon() {
    sweep_.expires_after(kSweep);
    sweep_.async_wait([this](const boost::system::error_code& ec) {
      if (ec) return;
      const auto now = HttpLink::Clock::now();
      const std::set<LinkPtr> busy = busy_;  // they leave it as they end
      for (const LinkPtr& link : busy) link->check_deadline(now);
      sweeping_ = !busy_.empty();
      if (sweeping_) sweep_soon();
    });
  }

  void cancel() {
    cancelled_ = true;
    const std::map<HttpPeer, LinkPtr> links = links_;  // they leave it as they end
    for (const auto& [peer, link] : links) link->cancel();
    links_.clear();
    sweep_.cancel();
  }

  const HttpPoolOptions options_;
  net::io_context context_{1};
  net::executor_work_guard<net::io_context::executor_type> work_{context_.get_executor()};
  net::steady_timer sweep_;
  bool sweeping_ = false;
  bool cancelled_ = false;
  std::map<HttpPeer, LinkPtr> links_;
  std::deque<LinkPtr> line_;  // wait for their turn to connect
  std::size_t connecting_ = 0;
  std::set<LinkPtr> busy_;
  std::atomic<std::uint64_t> connects_{0};
  std::atomic<std::size_t> connections_{0};
  std::thread thread_;
  std::optional<std::stop_callback<std::function<void()>>> on_stop_;
};

HttpPool::HttpPool(HttpPoolOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
HttpPool::~HttpPool() = default;

void HttpPool::call(HttpCall call, Done done) {
  impl_->call(std::move(call), std::move(done));
}
void HttpPool::forget(const HttpPeer& peer) {
  impl_->forget(peer);
}
std::uint64_t HttpPool::connects() const {
  return impl_->connects();
}
std::size_t HttpPool::connections() const {
  return impl_->connections();
}

}  // namespace millrace::common
