// Ranks as threads of one process. A collective is: publish what this rank offers, meet, work on the shared memory of
// all ranks, part. Everybody who has met also parts, whatever happens meanwhile, so that no rank frees memory that
// another still reads.
#include <algorithm>
#include <cassert>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "common/error.h"
#include "engine/comm/comm.h"
#include "engine/comm/matrix.h"

namespace millrace::engine {
namespace {

// What one rank shows to the others during a collective.
struct Offer {
  Tensor x{};
  std::vector<std::byte>* message = nullptr;
  std::span<const std::span<const float>> send{};
};

class ThreadGroup {
 public:
  explicit ThreadGroup(int size)
      : left_(static_cast<std::size_t>(size)),
        offers_(static_cast<std::size_t>(size)),
        mailboxes_(static_cast<std::size_t>(size) * static_cast<std::size_t>(size)) {}

  int size() const { return static_cast<int>(offers_.size()); }
  const Offer& offer(int rank) const { return offers_[static_cast<std::size_t>(rank)]; }

  // Waits until all ranks have offered; throws kUnavailable when the group fails before.
  void meet(int rank, const Offer& offer) {
    std::unique_lock lock(mutex_);
    offers_[static_cast<std::size_t>(rank)] = offer;
    if (!arrive(lock, /*interruptible=*/true)) give_up();
  }

  // Waits until all ranks are done with the offers.
  void part() {
    std::unique_lock lock(mutex_);
    arrive(lock, /*interruptible=*/false);
  }

  void post(int from, int to, std::vector<std::byte> message) {
    const std::lock_guard lock(mutex_);
    if (aborted_ || has_left(to)) give_up();
    mailbox(from, to).push_back(std::move(message));
    changed_.notify_all();
  }

  // A message of a rank that has left since is still delivered, and ranks that are here can still be heard when another
  // has left.
  std::vector<std::byte> take(int from, int to) {
    std::unique_lock lock(mutex_);
    auto& box = mailbox(from, to);
    changed_.wait(lock, [&] { return !box.empty() || aborted_ || has_left(from); });
    if (box.empty()) give_up();
    std::vector<std::byte> message = std::move(box.front());
    box.pop_front();
    return message;
  }

  void leave(int rank) {
    const std::lock_guard lock(mutex_);
    left_[static_cast<std::size_t>(rank)] = true;
    if (failure_.empty()) failure_ = "rank " + std::to_string(rank) + " has left the group";
    changed_.notify_all();
  }

  void abort(int rank, const std::string& reason) {
    const std::lock_guard lock(mutex_);
    aborted_ = true;
    if (failure_.empty()) failure_ = "rank " + std::to_string(rank) + " aborted: " + reason;
    changed_.notify_all();
  }

  std::string failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  // False when the group has failed before everybody came. Whoever came last lets all others pass, failed or not.
  bool arrive(std::unique_lock<std::mutex>& lock, bool interruptible) {
    if (interruptible && !failure_.empty()) return false;
    const std::uint64_t generation = generation_;
    if (++arrived_ == size()) {
      arrived_ = 0;
      ++generation_;
      changed_.notify_all();
      return true;
    }
    changed_.wait(lock, [&] { return generation_ != generation || (interruptible && !failure_.empty()); });
    if (generation_ != generation) return true;
    --arrived_;
    return false;
  }

  bool has_left(int rank) const { return left_[static_cast<std::size_t>(rank)]; }
  [[noreturn]] void give_up() const { throw common::Error(common::Code::kUnavailable, failure_); }

  std::deque<std::vector<std::byte>>& mailbox(int from, int to) {
    return mailboxes_[static_cast<std::size_t>(from * size() + to)];
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string failure_;  // collectives fail from the first rank that leaves or aborts
  bool aborted_ = false;
  std::vector<bool> left_;
  int arrived_ = 0;
  std::uint64_t generation_ = 0;
  std::vector<Offer> offers_;
  std::vector<std::deque<std::vector<std::byte>>> mailboxes_;  // [from * size + to]
};

class ThreadComm : public Comm {
 public:
  // Shared: the group lives as long as the last of its ranks.
  ThreadComm(std::shared_ptr<ThreadGroup> group, int rank) : group_(std::move(group)), rank_(rank) {}
  ~ThreadComm() override { group_->leave(rank_); }

  int rank() const override { return rank_; }
  int size() const override { return group_->size(); }

  void all_reduce(const Tensor& x) override {
    group_->meet(rank_, {.x = x});
    const std::int64_t total = x.rows * x.cols;
    reduce(x, total * rank_ / size(), total * (rank_ + 1) / size());
    group_->part();
  }

  void all_gather(const Tensor& x, const Tensor& out) override {
    group_->meet(rank_, {.x = x});
    collect(out);
    group_->part();
  }

  void gather(const Tensor& x, const Tensor& out, int root) override {
    group_->meet(rank_, {.x = x});
    if (rank_ == root) collect(out);
    group_->part();
  }

  void all_to_all(std::span<const std::span<const float>> send, std::span<const std::span<float>> recv) override {
    assert(send.size() == static_cast<std::size_t>(size()) && recv.size() == send.size());
    group_->meet(rank_, {.send = send});
    for (int from = 0; from < size(); ++from) {
      const std::span<const float> values = group_->offer(from).send[static_cast<std::size_t>(rank_)];
      assert(values.size() == recv[static_cast<std::size_t>(from)].size());
      std::copy(values.begin(), values.end(), recv[static_cast<std::size_t>(from)].begin());
    }
    group_->part();
  }

  void broadcast(std::vector<std::byte>& message, int root) override {
    group_->meet(rank_, {.message = &message});
    if (rank_ != root) message = *group_->offer(root).message;
    group_->part();
  }

  void send(std::span<const std::byte> message, int to) override {
    group_->post(rank_, to, std::vector<std::byte>(message.begin(), message.end()));
  }

  std::vector<std::byte> recv(int from) override { return group_->take(from, rank_); }

  void barrier() override {
    group_->meet(rank_, {});
    group_->part();
  }

  void abort(const std::string& reason) override { group_->abort(rank_, reason); }

  std::string failure() const override { return group_->failure(); }

 private:
  // Sums the elements [begin, end) of all ranks in the order of ranks and gives everybody the sum.
  void reduce(const Tensor& x, std::int64_t begin, std::int64_t end) {
    while (begin < end) {
      const std::int64_t row = begin / x.cols;
      const std::int64_t col = begin % x.cols;
      const std::int64_t count = std::min(end - begin, x.cols - col);
      sum_.assign(row_of(group_->offer(0).x, row) + col, row_of(group_->offer(0).x, row) + col + count);
      for (int rank = 1; rank < size(); ++rank) {
        const float* values = row_of(group_->offer(rank).x, row) + col;
        for (std::int64_t i = 0; i < count; ++i) sum_[static_cast<std::size_t>(i)] += values[i];
      }
      for (int rank = 0; rank < size(); ++rank) {
        std::copy(sum_.begin(), sum_.end(), row_of(group_->offer(rank).x, row) + col);
      }
      begin += count;
    }
  }

  void collect(const Tensor& out) {
    for (int rank = 0; rank < size(); ++rank) {
      const Tensor& part = group_->offer(rank).x;
      for (std::int64_t row = 0; row < part.rows; ++row) {
        std::copy_n(row_of(part, row), part.cols, row_of(out, row) + rank * part.cols);
      }
    }
  }

  std::shared_ptr<ThreadGroup> group_;
  int rank_;
  std::vector<float> sum_;
};

}  // namespace

std::vector<std::unique_ptr<Comm>> make_thread_comms(int size) {
  auto group = std::make_shared<ThreadGroup>(size);
  std::vector<std::unique_ptr<Comm>> comms;
  for (int rank = 0; rank < size; ++rank) comms.push_back(std::make_unique<ThreadComm>(group, rank));
  return comms;
}

}  // namespace millrace::engine
