// Draws tokens from logits (Backend::sample). Rows are independent and run in parallel; a row costs a few passes over
// the vocabulary, never a sort of it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/backend/cpu/kernels.h"

namespace millrace::engine::cpu {

// Scratch of one thread; keeps its capacity from step to step.
struct SamplerScratch {
  struct Candidate {
    float value;  // logit or weight
    TokenId token;
  };
  std::vector<float> logits;   // edited copy
  std::vector<float> weights;  // exp((logit - largest) / temperature)
  std::vector<Candidate> candidates;
  std::vector<std::int32_t> marks;  // per token; all zero between rows
};

class Sampler {
 public:
  // The result stays valid until the next call.
  std::span<const SampledToken> sample(ThreadPool& pool, const Kernels& kernels, const Tensor& logits,
                                       std::int64_t valid_vocab, std::span<const SamplingRow> rows);

 private:
  std::vector<SamplerScratch> scratch_;  // one per thread
  std::vector<SampledToken> tokens_;
};

}  // namespace millrace::engine::cpu
