// Full attention over the paged cache: norm and rotate q and k, append k and v, softmax over all keys up to the token.
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/backend/cpu/plain.h"

namespace millrace::engine::cpu::plain {
namespace {

struct Token {
  std::int64_t row = 0;  // of the step
  std::int64_t seq = 0;
  std::int64_t position = 0;  // in the cache, not the rotary one
};

std::vector<Token> tokens_of(const StepInputs& step) {
  std::vector<Token> tokens;
  for (std::int64_t s = 0; s < step.num_seqs(); ++s) {
    auto i = static_cast<std::size_t>(s);
    for (std::int64_t row = step.row_begin[i]; row < step.row_begin[i + 1]; ++row) {
      tokens.push_back({row, s, step.context[i] + row - step.row_begin[i]});
    }
  }
  return tokens;
}

// Rotates pairs (j, j + rotary_dim / 2) of the first channels by the positions of token `row`.
void rotate(const AttentionShape& shape, const float* inv_freq, const StepInputs& step, std::int64_t row, float* head) {
  const std::int64_t half = shape.rotary_dim / 2;
  const float scale = shape.rope_scale;
  for (std::int64_t j = 0; j < half; ++j) {
    float angle = static_cast<float>(rope_position(step, shape.mrope, row, j)) * inv_freq[j];
    float c = std::cos(angle) * scale;
    float s = std::sin(angle) * scale;
    float x = head[j];
    float y = head[j + half];
    head[j] = x * c - y * s;
    head[j + half] = y * c + x * s;
  }
}

class Attention {
 public:
  Attention(const StepInputs& step, const AttentionShape& shape, PagedKv& cache, std::int64_t layer)
      : step_(step), shape_(shape), cache_(cache), layer_(layer) {}

  void prepare(const float* head, const float* norm, const float* inv_freq, std::int64_t row, float* to) const {
    if (norm == nullptr) {
      std::memcpy(to, head, static_cast<std::size_t>(shape_.head_dim) * sizeof(float));
    } else {
      normalise(head, norm, shape_.head_dim, shape_.norm_eps, to);
    }
    rotate(shape_, inv_freq, step_, row, to);
  }

  std::int64_t block(const Token& token, std::int64_t position) const {
    std::int64_t index = token.seq * step_.max_blocks + position / cache_.shape().block_size;
    return step_.blocks[static_cast<std::size_t>(index)];
  }
  float* key(const Token& token, std::int64_t position, std::int64_t kv_head) const {
    std::int64_t offset = position % cache_.shape().block_size * shape_.head_dim;
    return cache_.keys(layer_, block(token, position), kv_head) + offset;
  }
  float* value(const Token& token, std::int64_t position, std::int64_t kv_head) const {
    return key(token, position, kv_head) + cache_.shape().block_size * shape_.head_dim;
  }

  void attend(const Token& token, std::int64_t kv_head, const float* query, float* out) const {
    std::vector<float> scores(static_cast<std::size_t>(token.position) + 1);
    float scale = 1.0F / std::sqrt(static_cast<float>(shape_.head_dim));
    float largest = -INFINITY;
    for (std::int64_t p = 0; p <= token.position; ++p) {
      const float* k = key(token, p, kv_head);
      float sum = 0.0F;
      for (std::int64_t c = 0; c < shape_.head_dim; ++c) sum += query[c] * k[c];
      scores[static_cast<std::size_t>(p)] = sum * scale;
      largest = std::max(largest, sum * scale);
    }
    float total = 0.0F;
    for (float& score : scores) total += score = std::exp(score - largest);
    std::fill(out, out + shape_.head_dim, 0.0F);
    for (std::int64_t p = 0; p <= token.position; ++p) {
      float weight = scores[static_cast<std::size_t>(p)] / total;
      const float* v = value(token, p, kv_head);
      for (std::int64_t c = 0; c < shape_.head_dim; ++c) out[c] += weight * v[c];
    }
  }

 private:
  const StepInputs& step_;
  const AttentionShape& shape_;
  PagedKv& cache_;
  std::int64_t layer_;
};

const float* row_or_null(const Tensor& t) {
  return t.data == nullptr ? nullptr : float_row(t, 0);
}

}  // namespace

void attention(Context& context, const AttentionShape& shape, const Tensor& qkv, const Tensor& q_norm,
               const Tensor& k_norm, const Tensor& inv_freq, PagedKv& cache, std::int64_t layer, const Tensor& out) {
  const StepInputs& step = *context.step;
  const std::int64_t dim = shape.head_dim;
  const std::int64_t q_stride = shape.output_gate ? 2 * dim : dim;
  const std::int64_t k_begin = shape.q_heads * q_stride;
  const std::int64_t v_begin = k_begin + shape.kv_heads * dim;
  const float* frequencies = row_or_null(inv_freq);
  Attention attention(step, shape, cache, layer);
  std::vector<Token> tokens = tokens_of(step);
  for (const Token& token : tokens) {
    const float* in = float_row(qkv, token.row);
    for (std::int64_t h = 0; h < shape.kv_heads; ++h) {
      attention.prepare(in + k_begin + h * dim, row_or_null(k_norm), frequencies, token.row,
                        attention.key(token, token.position, h));
      std::memcpy(attention.value(token, token.position, h), in + v_begin + h * dim,
                  static_cast<std::size_t>(dim) * sizeof(float));
    }
  }
  std::vector<float> query(static_cast<std::size_t>(dim));
  for (const Token& token : tokens) {
    for (std::int64_t h = 0; h < shape.q_heads; ++h) {
      const float* in = float_row(qkv, token.row) + h * q_stride;
      float* to = float_row(out, token.row) + h * dim;
      attention.prepare(in, row_or_null(q_norm), frequencies, token.row, query.data());
      attention.attend(token, h / (shape.q_heads / shape.kv_heads), query.data(), to);
      for (std::int64_t c = 0; c < dim && shape.output_gate; ++c) to[c] *= sigmoid(in[dim + c]);
    }
  }
}

}  // namespace millrace::engine::cpu::plain
