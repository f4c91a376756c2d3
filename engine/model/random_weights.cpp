#include "engine/model/random_weights.h"

#include <bit>
#include <cmath>
#include <vector>

#include "common/hash.h"

namespace millrace::engine {
namespace {

// Uniform in [centre - spread, centre + spread].
struct Spread {
  float centre = 0.0F;
  float spread = 0.0F;
};

std::uint64_t mix(std::uint64_t x) {  // splitmix64's finaliser
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

// Magnitudes like those of trained models: unit-variance products, norms near identity, decays from slow to fast.
Spread spread_of(const std::string& name, std::int64_t cols, bool zero_centred_norms) {
  if (name.ends_with("A_log")) return {1.0F, 1.5F};
  if (name.ends_with("dt_bias")) return {-2.0F, 2.0F};
  if (name.ends_with("linear_attn.norm.weight")) return {1.0F, 0.1F};
  if (name.ends_with("norm.weight")) return {zero_centred_norms ? 0.0F : 1.0F, 0.1F};
  if (cols == 1) return {0.0F, 0.1F};  // a bias
  return {0.0F, std::sqrt(3.0F / static_cast<float>(cols))};
}

std::uint16_t bf16_bits(float value) {
  return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
}

}  // namespace

HostWeight RandomWeights::generate(const std::string& name, std::int64_t rows, std::int64_t cols) const {
  const Spread spread = spread_of(name, cols, config_.zero_centred_norms);
  const float step = spread.spread / 32768.0F;
  const std::uint64_t key = mix(seed_ ^ common::fnv1a(name));
  // Four values per random word.
  auto values = std::make_shared<std::vector<std::uint16_t>>(static_cast<std::size_t>(rows * cols));
  for (std::size_t i = 0; i < values->size(); i += 4) {
    std::uint64_t word = mix(key + i);
    for (std::size_t lane = i; lane < std::min(i + 4, values->size()); ++lane, word >>= 16) {
      (*values)[lane] = bf16_bits(spread.centre + step * static_cast<float>(static_cast<std::int16_t>(word)));
    }
  }
  return {{values->data(), DType::kBF16, rows, cols, cols}, values};
}

HostWeight RandomWeights::tensor(const TensorSpec& spec) const {
  return generate(spec.name, matrix_rows(spec), matrix_cols(spec));
}

ExpertWeight RandomWeights::expert(std::int64_t layer, std::int32_t expert) const {
  const std::string stem = layer_tensor(layer, "mlp.experts." + std::to_string(expert) + ".");
  return {generate(stem + "gate", config_.moe.intermediate, config_.hidden),
          generate(stem + "up", config_.moe.intermediate, config_.hidden),
          generate(stem + "down", config_.hidden, config_.moe.intermediate)};
}

}  // namespace millrace::engine
