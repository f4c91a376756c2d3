// Gated delta rule, token by token: decay the state, read it with the key, correct it towards the value, read it with
// the query. S <- e^g S; d = beta (v - S^T k); S <- S + k d^T; o = S^T q.
#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/backend/cpu/plain.h"

namespace millrace::engine::cpu::plain {
namespace {

constexpr float kL2Eps = 1e-6F;

std::vector<float> l2_normalised(const float* from, std::int64_t count, float scale) {
  double squares = 0.0;
  for (std::int64_t i = 0; i < count; ++i) squares += static_cast<double>(from[i]) * from[i];
  auto factor = static_cast<float>(scale / std::sqrt(squares + kL2Eps));
  std::vector<float> to(from, from + count);
  for (float& value : to) value *= factor;
  return to;
}

float softplus(float x) {
  return x > 20.0F ? x : std::log1p(std::exp(x));
}

struct Update {
  const std::vector<float>& query;
  const std::vector<float>& key;
  const float* value;
  float decay;  // e^g
  float beta;
};

// state (key_dim, value_dim), advanced by one token; out (value_dim).
void advance(const Update& u, std::int64_t value_dim, float* state, float* out) {
  const std::size_t key_dim = u.key.size();
  for (std::int64_t v = 0; v < value_dim; ++v) {
    float predicted = 0.0F;
    for (std::size_t k = 0; k < key_dim; ++k) {
      float& cell = state[static_cast<std::int64_t>(k) * value_dim + v];
      cell *= u.decay;
      predicted += cell * u.key[k];
    }
    float correction = u.beta * (u.value[v] - predicted);
    float sum = 0.0F;
    for (std::size_t k = 0; k < key_dim; ++k) {
      float& cell = state[static_cast<std::int64_t>(k) * value_dim + v];
      cell += u.key[k] * correction;
      sum += cell * u.query[k];
    }
    out[v] = sum;
  }
}

}  // namespace

void gated_delta_rule(Context& context, const Tensor& qkv, const Tensor& ba, const Tensor& decay, const Tensor& dt_bias,
                      StatePool& states, std::int64_t layer, const Tensor& out) {
  const StepInputs& step = *context.step;
  const DeltaShape& shape = states.shape().delta;
  const std::int64_t key_cols = shape.key_heads * shape.key_dim;
  const float query_scale = 1.0F / std::sqrt(static_cast<float>(shape.key_dim));
  for (std::size_t s = 0; s < step.context.size(); ++s) {
    for (std::int64_t head = 0; head < shape.value_heads; ++head) {
      std::int64_t key_head = head / (shape.value_heads / shape.key_heads);
      float* state = states.recurrent(layer, step.slots[s], head);
      if (step.context[s] == 0) std::fill(state, state + shape.key_dim * shape.value_dim, 0.0F);
      for (std::int64_t t = step.row_begin[s]; t < step.row_begin[s + 1]; ++t) {
        const float* in = float_row(qkv, t);
        std::vector<float> q = l2_normalised(in + key_head * shape.key_dim, shape.key_dim, query_scale);
        std::vector<float> k = l2_normalised(in + key_cols + key_head * shape.key_dim, shape.key_dim, 1.0F);
        float a = float_row(ba, t)[shape.value_heads + head];
        float g = -float_row(decay, 0)[head] * softplus(a + float_row(dt_bias, 0)[head]);
        Update update{q, k, in + 2 * key_cols + head * shape.value_dim, std::exp(g), sigmoid(float_row(ba, t)[head])};
        advance(update, shape.value_dim, state, float_row(out, t) + head * shape.value_dim);
      }
    }
  }
}

}  // namespace millrace::engine::cpu::plain
