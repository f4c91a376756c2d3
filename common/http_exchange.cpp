#include "common/http_exchange.h"

#include <cassert>
#include <utility>

namespace millrace::common {

class HttpExchange::Writer : public HttpWriter {
 public:
  explicit Writer(std::shared_ptr<HttpExchange> exchange) : exchange_(std::move(exchange)) {}
  ~Writer() override { exchange_->abandon(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void respond(HttpResponse response) override { exchange_->respond(std::move(response), false); }
  void begin(HttpResponse head) override { exchange_->respond(std::move(head), true); }
  bool write(std::string_view piece) override { return exchange_->write(piece); }
  void end() override { exchange_->end(); }
  void on_disconnect(std::function<void()> callback) override { exchange_->on_disconnect(std::move(callback)); }

 private:
  std::shared_ptr<HttpExchange> exchange_;
};

HttpExchange::HttpExchange(std::size_t max_buffered_bytes, std::function<void()> notify)
    : max_buffered_bytes_(max_buffered_bytes), notify_(std::move(notify)) {}

std::shared_ptr<HttpWriter> HttpExchange::writer(std::shared_ptr<HttpExchange> exchange) {
  return std::make_shared<Writer>(std::move(exchange));
}

HttpExchange::Output HttpExchange::take() {
  const std::lock_guard lock(mutex_);
  Output output;
  output.head = std::exchange(head_, std::nullopt);
  output.streamed = streamed_;
  output.ended = ended_;
  output.dropped = dropped_;
  output.failed = failed_;
  output.data.swap(pending_);
  return output;
}

void HttpExchange::client_gone() {
  std::unique_lock lock(mutex_);
  if (!ended_) lose_client(lock);
}

void HttpExchange::lose_client(std::unique_lock<std::mutex>& lock) {
  gone_ = true;
  pending_.clear();
  const auto callback = std::exchange(on_disconnect_, nullptr);
  lock.unlock();
  if (callback) callback();
}

void HttpExchange::respond(HttpResponse response, bool streamed) {
  {
    const std::lock_guard lock(mutex_);
    assert(!answered_);
    answered_ = true;
    head_ = std::move(response);
    streamed_ = streamed;
    ended_ = !streamed;
  }
  notify_();
}

bool HttpExchange::write(std::string_view piece) {
  {
    std::unique_lock lock(mutex_);
    assert(streamed_ && !ended_);
    if (gone_) return false;
    if (pending_.size() + piece.size() > max_buffered_bytes_) {
      failed_ = true;
      lose_client(lock);
    } else {
      pending_.append(piece);
    }
  }
  notify_();
  const std::lock_guard lock(mutex_);
  return !gone_;
}

void HttpExchange::end() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  notify_();
}

void HttpExchange::abandon() {
  {
    const std::lock_guard lock(mutex_);
    if (ended_ || gone_) return;
    if (!answered_) {
      dropped_ = true;
    } else {
      failed_ = true;
    }
    ended_ = true;
  }
  notify_();
}

void HttpExchange::on_disconnect(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (!gone_) {
      on_disconnect_ = std::move(callback);
      return;
    }
  }
  callback();
}

}  // namespace millrace::common
