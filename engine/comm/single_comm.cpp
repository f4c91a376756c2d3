#include <algorithm>
#include <cassert>
#include <deque>
#include <mutex>

#include "common/error.h"
#include "engine/comm/comm.h"
#include "engine/comm/matrix.h"

namespace millrace::engine {
namespace {

class SingleComm : public Comm {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }

  void all_reduce(const Tensor&) override { check(); }

  void all_gather(const Tensor& x, const Tensor& out) override {
    check();
    for (std::int64_t row = 0; row < x.rows; ++row) std::copy_n(row_of(x, row), x.cols, row_of(out, row));
  }

  void gather(const Tensor& x, const Tensor& out, int) override { all_gather(x, out); }

  void all_to_all(std::span<const std::span<const float>> send, std::span<const std::span<float>> recv) override {
    check();
    assert(send.size() == 1 && recv.size() == 1 && send[0].size() == recv[0].size());
    std::copy(send[0].begin(), send[0].end(), recv[0].begin());
  }

  void broadcast(std::vector<std::byte>&, int) override { check(); }

  void send(std::span<const std::byte> message, int) override {
    check();
    to_self_.emplace_back(message.begin(), message.end());
  }

  std::vector<std::byte> recv(int) override {
    check();
    if (to_self_.empty())
      throw common::Error(common::Code::kUnavailable, "rank 0 waits for a message that it never sent");
    std::vector<std::byte> message = std::move(to_self_.front());
    to_self_.pop_front();
    return message;
  }

  void barrier() override { check(); }

  void abort(const std::string& reason) override {
    const std::lock_guard lock(mutex_);
    if (failure_.empty()) failure_ = "rank 0 aborted: " + reason;
  }

  std::string failure() const override {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  void check() const {
    const std::string reason = failure();
    if (!reason.empty()) throw common::Error(common::Code::kUnavailable, reason);
  }

  mutable std::mutex mutex_;
  std::string failure_;
  std::deque<std::vector<std::byte>> to_self_;
};

}  // namespace

std::unique_ptr<Comm> make_single_comm() {
  return std::make_unique<SingleComm>();
}

}  // namespace millrace::engine
