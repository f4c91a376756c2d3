#include "agent/shared_comm.h"

namespace millrace::agent {
namespace {

using engine::Tensor;

class SharedComm : public engine::Comm {
 public:
  explicit SharedComm(std::shared_ptr<engine::Comm> comm) : comm_(std::move(comm)) {}

  int rank() const override { return comm_->rank(); }
  int size() const override { return comm_->size(); }
  void all_reduce(const Tensor& x) override { comm_->all_reduce(x); }
  void all_gather(const Tensor& x, const Tensor& out) override { comm_->all_gather(x, out); }
  void gather(const Tensor& x, const Tensor& out, int root) override { comm_->gather(x, out, root); }
  void all_to_all(std::span<const std::span<const float>> send, std::span<const std::span<float>> recv) override {
    comm_->all_to_all(send, recv);
  }
  void broadcast(std::vector<std::byte>& message, int root) override { comm_->broadcast(message, root); }
  void send(std::span<const std::byte> message, int to) override { comm_->send(message, to); }
  std::vector<std::byte> recv(int from) override { return comm_->recv(from); }
  void barrier() override { comm_->barrier(); }
  void abort(const std::string& reason) override { comm_->abort(reason); }

 private:
  std::shared_ptr<engine::Comm> comm_;
};

}  // namespace

std::unique_ptr<engine::Comm> share_comm(std::shared_ptr<engine::Comm> comm) {
  return std::make_unique<SharedComm>(std::move(comm));
}

}  // namespace millrace::agent
