#include "engine/backend/cpu/cpu_backend.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

#include "engine/backend/cpu/isa.h"
#include "engine/backend/cpu/route.h"
#include "engine/backend/cpu/sampler.h"

namespace millrace::engine::cpu {
namespace {

std::int32_t thread_count(std::int32_t wanted) {
  if (wanted > 0) return wanted;
  return std::max(1, static_cast<std::int32_t>(std::thread::hardware_concurrency()));
}

void copy_rows(const Tensor& tensor, const std::byte* from, std::int64_t from_stride, std::byte* to,
               std::int64_t to_stride) {
  auto size = static_cast<std::int64_t>(size_of(tensor.dtype));
  for (std::int64_t r = 0; r < tensor.rows; ++r) {
    std::memcpy(to + r * to_stride * size, from + r * from_stride * size, static_cast<std::size_t>(tensor.cols * size));
  }
}

const Linear& packed(const PackedLinear& weight) {
  return static_cast<const Linear&>(weight);
}

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const BackendOptions& options)
      : kernels_(select_kernels(options.isa)), pool_(thread_count(options.threads)) {}

  std::string description() const override {
    std::string threads = std::to_string(pool_.threads());
    return std::string("cpu (") + kernels_.name + ", " + threads + (pool_.threads() == 1 ? " thread)" : " threads)");
  }

  DeviceTensor allocate(std::int64_t rows, std::int64_t cols, DType dtype) override {
    auto buffer = std::make_shared<Buffer>(static_cast<std::size_t>(rows * cols) * size_of(dtype));
    std::byte* data = buffer->data();
    return {std::move(buffer), {data, dtype, rows, cols, cols}};
  }
  void upload(const Tensor& to, const void* host) override {
    copy_rows(to, static_cast<const std::byte*>(host), to.cols, to.data, to.stride);
  }
  void download(const Tensor& from, void* host) override {
    copy_rows(from, from.data, from.stride, static_cast<std::byte*>(host), from.cols);
  }
  std::unique_ptr<PackedLinear> pack_linear(std::span<const HostMatrix> parts, std::span<const float> bias) override {
    return std::make_unique<Linear>(parts, bias, pool_);
  }
  std::unique_ptr<PackedExperts> allocate_experts(const ExpertShape& shape) override {
    return std::make_unique<Experts>(shape);
  }
  void pack_expert(PackedExperts& experts, std::int64_t slot, const HostMatrix& gate, const HostMatrix& up,
                   const HostMatrix& down) override {
    static_cast<Experts&>(experts).pack(slot, gate, up, down);
  }
  std::unique_ptr<KvCache> allocate_kv_cache(const KvCacheShape& shape) override {
    return std::make_unique<PagedKv>(shape);
  }
  std::unique_ptr<StateCache> allocate_state_cache(const StateCacheShape& shape) override {
    return std::make_unique<StatePool>(shape);
  }
  std::size_t kv_block_bytes(const KvCacheShape& shape) const override { return PagedKv::block_bytes(shape); }
  std::size_t state_slot_bytes(const StateCacheShape& shape) const override { return StatePool::slot_bytes(shape); }

  void begin_step(const StepInputs& inputs, StateCache* states) override {
    step_ = &inputs;
    sampled_ = {};
    for (const auto& [from, to] : inputs.slot_copies) {
      assert(states != nullptr);
      static_cast<StatePool*>(states)->copy_slot(from, to);
    }
  }
  std::span<const SampledToken> finish_step() override {
    step_ = nullptr;
    return sampled_;
  }

  void embed(const PackedLinear& table, std::int64_t first_row, const Tensor& out) override {
    kernels_.embed(context(), packed(table).view(), first_row, out);
  }
  void linear(const PackedLinear& weight, const Tensor& x, const Tensor& out) override {
    const Linear& w = packed(weight);
    assert(x.cols == w.in_features() && out.cols == w.out_features() && x.rows == out.rows);
    kernels_.linear(context(), w.view(), w.bias(), x, out);
  }
  void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) override {
    kernels_.rms_norm(context(), x, weight, eps, out);
  }
  void add_rms_norm(const Tensor& residual, const Tensor& delta, const Tensor& weight, float eps,
                    const Tensor& out) override {
    kernels_.add_rms_norm(context(), residual, delta, weight, eps, out);
  }
  void add(const Tensor& residual, const Tensor& delta) override { kernels_.add(context(), residual, delta); }
  void gather_logit_rows(const Tensor& x, const Tensor& out) override {
    for (std::int64_t i = 0; i < out.rows; ++i) {
      std::int64_t row = step_->logit_rows[static_cast<std::size_t>(i)];
      copy_rows(x.row_range(row, 1), x.row_range(row, 1).data, x.stride, out.row_range(i, 1).data, out.stride);
    }
  }
  void silu_mul(const Tensor& x, const Tensor& out) override { kernels_.silu_mul(context(), x, out); }
  void add_sigmoid_gated(const Tensor& x, const Tensor& gate, const Tensor& out) override {
    kernels_.add_sigmoid_gated(context(), x, gate, out);
  }

  void attention(const AttentionShape& shape, const Tensor& qkv, const Tensor& q_norm, const Tensor& k_norm,
                 const Tensor& inv_freq, KvCache& cache, std::int64_t layer, const Tensor& out) override {
    kernels_.attention(context(), shape, qkv, q_norm, k_norm, inv_freq, static_cast<PagedKv&>(cache), layer, out);
  }
  void causal_conv(const Tensor& x, const Tensor& weight, StateCache& states, std::int64_t layer,
                   const Tensor& out) override {
    kernels_.causal_conv(context(), x, weight, static_cast<StatePool&>(states), layer, out);
  }
  void gated_delta_rule(const Tensor& qkv, const Tensor& ba, const Tensor& decay, const Tensor& dt_bias,
                        StateCache& states, std::int64_t layer, const Tensor& out) override {
    kernels_.gated_delta_rule(context(), qkv, ba, decay, dt_bias, static_cast<StatePool&>(states), layer, out);
  }
  void gated_rms_norm(const Tensor& x, const Tensor& z, const Tensor& weight, float eps) override {
    kernels_.gated_rms_norm(context(), x, z, weight, eps);
  }

  void route(const Tensor& logits, const Tensor& ids, const Tensor& weights, const Tensor& counts) override {
    cpu::route(logits, ids, weights, counts);
  }
  void experts(const PackedExperts& experts, const ExpertMap& map, const Tensor& x, const Tensor& ids,
               const Tensor& weights, const Tensor& out) override {
    kernels_.experts(context(), static_cast<const Experts&>(experts), map, x, ids, weights, out);
  }

  void sample(const Tensor& logits, std::int64_t valid_vocab, std::span<const SamplingRow> rows) override {
    sampled_ = sampler_.sample(pool_, kernels_, logits, valid_vocab, rows);
  }

 private:
  Context& context() {
    arena_.reset();
    context_ = {step_, &pool_, &arena_};
    return context_;
  }

  const Kernels& kernels_;
  ThreadPool pool_;
  Arena arena_;
  Context context_;
  Sampler sampler_;
  const StepInputs* step_ = nullptr;
  std::span<const SampledToken> sampled_;
};

}  // namespace

bool cpu_available() {
  return true;
}

std::unique_ptr<Backend> create_cpu(const BackendOptions& options) {
  return std::make_unique<CpuBackend>(options);
}

}  // namespace millrace::engine::cpu
