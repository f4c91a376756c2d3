// Speed of the engine on this machine as shares of what the machine can do, measured in the same run: decode of one
// sequence against streaming read bandwidth, prefill against the FP32 multiply-add peak, decode of a batch against
// decode of one. Weights are random: speed does not depend on their values.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/comm/comm.h"
#include "engine/model/model.h"
#include "tests/bench/ceilings.h"
#include "tests/bench/model_shapes.h"

namespace millrace::bench {
namespace {

using engine::Backend;
using engine::StepInputs;

struct Options {
  int threads = 2;
  int repeats = 7;
  std::int64_t prompt = 512;
  std::int64_t batch = 16;
  std::string isa;
  std::string shape = "all";
};

// A model with caches for `seqs` sequences of up to `max_context` tokens; runs steps and times them.
class Runner {
 public:
  Runner(const engine::ModelConfig& config, Backend& backend, std::int64_t seqs, std::int64_t max_tokens)
      : backend_(backend), comm_(engine::make_single_comm()) {
    engine::ModelOptions options;
    options.max_tokens = max_tokens;
    options.max_logit_rows = seqs;
    model_ = engine::random_model(config, 1, options, backend, *comm_);
    max_blocks_ = static_cast<std::int32_t>((max_tokens + kSpare + kBlockSize - 1) / kBlockSize);
    kv_ = backend.allocate_kv_cache(model_->kv_cache_shape(seqs * max_blocks_, kBlockSize));
    states_ = backend.allocate_state_cache(model_->state_cache_shape(seqs));
  }

  // Seconds of one step in which `seqs` sequences of `context` cached tokens each get `tokens` new ones.
  double step(std::int64_t seqs, std::int64_t context, std::int64_t tokens) {
    const StepInputs inputs = make_step(seqs, context, tokens);
    const auto begin = std::chrono::steady_clock::now();
    backend_.begin_step(inputs, states_.get());
    model_->forward(inputs, *kv_, states_.get());
    backend_.finish_step();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

 private:
  static constexpr std::int64_t kBlockSize = 16;
  static constexpr std::int64_t kSpare = 64;

  StepInputs make_step(std::int64_t seqs, std::int64_t context, std::int64_t tokens) const {
    StepInputs step;
    step.row_begin = {0};
    step.max_blocks = max_blocks_;
    step.blocks.resize(static_cast<std::size_t>(seqs * max_blocks_));
    std::iota(step.blocks.begin(), step.blocks.end(), 0);
    for (std::int64_t s = 0; s < seqs; ++s) {
      for (std::int64_t t = 0; t < tokens; ++t) {
        step.token_ids.push_back(static_cast<engine::TokenId>((s * 7919 + t * 104729) % 200000));
        step.positions.push_back(static_cast<std::int32_t>(context + t));
      }
      step.row_begin.push_back(static_cast<std::int32_t>(step.token_ids.size()));
      step.context.push_back(static_cast<std::int32_t>(context));
      step.slots.push_back(static_cast<std::int32_t>(s));
      step.logit_rows.push_back(step.row_begin.back() - 1);
    }
    return step;
  }

  Backend& backend_;
  std::unique_ptr<engine::Comm> comm_;
  std::unique_ptr<engine::Model> model_;
  std::unique_ptr<engine::KvCache> kv_;
  std::unique_ptr<engine::StateCache> states_;
  std::int32_t max_blocks_ = 0;
};

struct Shape {
  const char* name;
  engine::ModelConfig (*config)();
};

constexpr Shape kShapes[] = {{"0.8B", dense_0_8b}, {"35B-A3B, 4 layers", moe_35b_4_layers}};

// Best times of each kind of step, and the best ceilings seen between them: on a shared machine the best of interleaved
// repeats is what is least disturbed.
struct Times {
  double decode = 1e9;
  double batch = 1e9;
  double prefill = 1e9;
  double bandwidth = 0.0;
  double fma = 0.0;
};

Times measure(const Shape& shape, const Options& options, Backend& backend, const ReadBandwidth& bandwidth) {
  Runner runner(shape.config(), backend, options.batch, options.prompt);
  runner.step(1, 0, options.prompt);
  runner.step(options.batch, 32, 1);
  const Arithmetic of_path = options.isa == "avx2" ? Arithmetic::kF32Avx2 : Arithmetic::kF32;
  Times best;
  for (int i = 0; i < options.repeats; ++i) {
    best.bandwidth = std::max(best.bandwidth, bandwidth.bytes_per_second());
    for (int j = 0; j < 3; ++j) best.decode = std::min(best.decode, runner.step(1, 32, 1));
    best.batch = std::min(best.batch, runner.step(options.batch, 32, 1));
    best.fma = std::max(best.fma, multiply_adds_per_second(of_path, options.threads));
    best.prefill = std::min(best.prefill, runner.step(1, 0, options.prompt));
  }
  return best;
}

void report(const Shape& shape, const Options& options, const Times& best) {
  const TokenCost cost = token_cost(shape.config());
  const double prefill_fma = cost.linear_fma * static_cast<double>(options.prompt) + cost.head_fma;
  const auto batch = static_cast<double>(options.batch);
  std::printf("| %s | %.1f GB/s | %.0f GFMA/s | %.1f tok/s | %.0f %% | %.0f tok/s | %.0f %% | %.1f tok/s | %.1fx |\n",
              shape.name, best.bandwidth / 1e9, best.fma / 1e9, 1.0 / best.decode,
              100.0 * cost.weight_bytes / best.decode / best.bandwidth,
              static_cast<double>(options.prompt) / best.prefill, 100.0 * prefill_fma / best.prefill / best.fma,
              batch / best.batch, batch * best.decode / best.batch);
}

// Printed as 0 where the machine lacks the instruction.
void report_peaks(const Options& options) {
  const auto best = [&](Arithmetic arithmetic) {
    double most = 0.0;
    for (int i = 0; i < options.repeats; ++i) {
      most = std::max(most, multiply_adds_per_second(arithmetic, options.threads));
    }
    return most / 1e9;
  };
  std::printf("| peak of registers | GMAC/s |\n|---|---|\n");
  std::printf("| FP32 fused multiply-add | %.0f |\n", best(Arithmetic::kF32));
  std::printf("| the same in 256 bits (AVX2) | %.0f |\n", best(Arithmetic::kF32Avx2));
  std::printf("| BF16 dot product (vdpbf16ps) | %.0f |\n", best(Arithmetic::kBf16));
  std::printf("| INT8 dot product (vpdpbusd) | %.0f |\n\n", best(Arithmetic::kInt8));
}

void run(const Options& options) {
  auto backend = engine::create_backend("cpu", {.threads = options.threads, .isa = options.isa});
  std::printf("%s\n\n", backend->description().c_str());
  report_peaks(options);
  if (options.shape == "none") return;
  std::printf(
      "| shape | read bandwidth | FP32 peak | decode | of bandwidth | prefill %ld | of peak | decode x%ld | over one "
      "|\n",
      static_cast<long>(options.prompt), static_cast<long>(options.batch));
  std::printf("|---|---|---|---|---|---|---|---|---|\n");
  const ReadBandwidth bandwidth(options.threads, std::size_t{1} << 30);
  for (const Shape& shape : kShapes) {
    if (options.shape != "all" && std::string(shape.name).find(options.shape) == std::string::npos) continue;
    report(shape, options, measure(shape, options, *backend, bandwidth));
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) {
  millrace::bench::Options options;
  CLI::App app{"Speed of the engine as shares of this machine's ceilings"};
  app.add_option("--threads", options.threads, "threads of the back end and of the ceilings")
      ->check(CLI::Range(1, 1024));
  app.add_option("--repeats", options.repeats, "interleaved repeats; the best counts")->check(CLI::Range(1, 1000));
  app.add_option("--prompt", options.prompt, "tokens of the prefill step")->check(CLI::Range(1, 65536));
  app.add_option("--batch", options.batch, "sequences of the batched decode step")->check(CLI::Range(1, 512));
  app.add_option("--isa", options.isa, "plain, avx2 or avx512; the best one when not given");
  app.add_option("--shape", options.shape, "which models; none: only the peaks of the machine")
      ->check(CLI::IsMember({"0.8B", "35B", "all", "none"}));
  CLI11_PARSE(app, argc, argv);
  try {
    millrace::bench::run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "millrace-bench: %s\n", error.what());
    return 1;
  }
}
