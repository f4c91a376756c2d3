#include "tests/engine/backend/fixture.h"

namespace millrace::engine::test {
namespace {

struct Weights {
  Matrix q_norm, k_norm, inv_freq;
};

// One sequence in double precision, all tokens at once: row t of the result attends to rows 0..t.
class NaiveAttention {
 public:
  NaiveAttention(const AttentionShape& shape, const Weights& weights) : s_(shape), w_(weights) {}

  Matrix run(const Matrix& qkv) const {
    Matrix out(qkv.rows, s_.q_heads * s_.head_dim);
    for (std::int64_t h = 0; h < s_.q_heads; ++h) run_head(qkv, h, out);
    return out;
  }

 private:
  using Vector = std::vector<double>;

  std::int64_t q_stride() const { return s_.output_gate ? 2 * s_.head_dim : s_.head_dim; }
  std::int64_t k_begin() const { return s_.q_heads * q_stride(); }

  Vector head(const Matrix& qkv, std::int64_t t, std::int64_t begin, const Matrix& norm) const {
    Vector x(static_cast<std::size_t>(s_.head_dim));
    double squares = 0.0;
    for (std::size_t c = 0; c < x.size(); ++c) {
      x[c] = qkv.at(t, begin + static_cast<std::int64_t>(c));
      squares += x[c] * x[c];
    }
    if (norm.rows > 0) {
      double scale = 1.0 / std::sqrt(squares / static_cast<double>(s_.head_dim) + s_.norm_eps);
      for (std::size_t c = 0; c < x.size(); ++c) x[c] *= scale * norm.values[c];
    }
    std::size_t half = static_cast<std::size_t>(s_.rotary_dim) / 2;
    for (std::size_t j = 0; j < half; ++j) {
      double angle = static_cast<float>(t) * w_.inv_freq.values[j];
      double a = x[j], b = x[j + half];
      double cosine = s_.rope_scale * std::cos(angle), sine = s_.rope_scale * std::sin(angle);
      x[j] = a * cosine - b * sine;
      x[j + half] = b * cosine + a * sine;
    }
    return x;
  }

  void run_head(const Matrix& qkv, std::int64_t h, Matrix& out) const {
    std::int64_t kv = h / (s_.q_heads / s_.kv_heads);
    std::vector<Vector> keys;
    for (std::int64_t t = 0; t < qkv.rows; ++t) {
      keys.push_back(head(qkv, t, k_begin() + kv * s_.head_dim, w_.k_norm));
      Vector q = head(qkv, t, h * q_stride(), w_.q_norm);
      Vector p(keys.size());
      double total = 0.0;
      double largest = -1e300;
      for (std::size_t i = 0; i < p.size(); ++i) {
        for (std::size_t c = 0; c < q.size(); ++c) p[i] += q[c] * keys[i][c];
        p[i] /= std::sqrt(static_cast<double>(s_.head_dim));
        largest = std::max(largest, p[i]);
      }
      for (double& value : p) total += value = std::exp(value - largest);
      std::int64_t v_begin = k_begin() + (s_.kv_heads + kv) * s_.head_dim;
      for (std::int64_t c = 0; c < s_.head_dim; ++c) {
        double sum = 0.0;
        for (std::size_t i = 0; i < p.size(); ++i) sum += p[i] * qkv.at(static_cast<std::int64_t>(i), v_begin + c);
        double gate = s_.output_gate ? sigmoid(qkv.at(t, h * q_stride() + s_.head_dim + c)) : 1.0;
        out.at(t, h * s_.head_dim + c) = static_cast<float>(sum / total * gate);
      }
    }
  }

  const AttentionShape& s_;
  const Weights& w_;
};

std::int64_t qkv_cols(const AttentionShape& s) {
  return (s.q_heads * (s.output_gate ? 2 : 1) + 2 * s.kv_heads) * s.head_dim;
}

Weights random_weights(const AttentionShape& s, bool norms) {
  Weights w;
  if (norms) w.q_norm = random_matrix(1, s.head_dim, 21);
  if (norms) w.k_norm = random_matrix(1, s.head_dim, 22);
  w.inv_freq = Matrix(1, s.rotary_dim / 2);
  for (std::int64_t j = 0; j < s.rotary_dim / 2; ++j) {
    w.inv_freq.at(0, j) =
        static_cast<float>(std::pow(1e7, -2.0 * static_cast<double>(j) / static_cast<double>(s.rotary_dim)));
  }
  return w;
}

class Attention : public EveryPath {
 protected:
  // Feeds the sequences in steps (fresh[step][seq] tokens) and compares every step's rows with the naive result.
  void check(const AttentionShape& shape, std::int64_t block_size, const std::vector<std::vector<std::int64_t>>& steps,
             bool norms = true) {
    Weights weights = random_weights(shape, norms);
    std::vector<std::int64_t> lengths(steps[0].size(), 0);
    for (const auto& step : steps) {
      for (std::size_t s = 0; s < step.size(); ++s) lengths[s] += step[s];
    }
    std::int64_t longest = *std::max_element(lengths.begin(), lengths.end());
    StepBuilder builder(block_size, longest, lengths.size());
    auto cache = backend_->allocate_kv_cache({2, builder.blocks(), block_size, shape.kv_heads, shape.head_dim});
    std::vector<Matrix> inputs, expected;
    for (std::size_t s = 0; s < lengths.size(); ++s) {
      inputs.push_back(random_matrix(lengths[s], qkv_cols(shape), 30 + s));
      expected.push_back(NaiveAttention(shape, weights).run(inputs.back()));
    }
    DeviceTensor q_norm, k_norm, inv_freq = put(*backend_, weights.inv_freq);
    if (norms) q_norm = put(*backend_, weights.q_norm);
    if (norms) k_norm = put(*backend_, weights.k_norm);
    for (const auto& fresh : steps) {
      std::vector<std::int32_t> context = builder.context();
      StepInputs step = builder.next(fresh);
      Matrix qkv(step.num_tokens(), qkv_cols(shape));
      for (std::size_t s = 0; s < fresh.size(); ++s) {
        std::copy_n(inputs[s].row(context[s]), fresh[s] * qkv.cols, qkv.values.begin() + step.row_begin[s] * qkv.cols);
      }
      DeviceTensor out = zeros(*backend_, qkv.rows, shape.q_heads * shape.head_dim, 3);
      backend_->begin_step(step, nullptr);
      backend_->attention(shape, put(*backend_, qkv, 5).view, q_norm.view, k_norm.view, inv_freq.view, *cache, 1,
                          out.view);
      backend_->finish_step();
      for (std::size_t s = 0; s < fresh.size(); ++s) {
        if (fresh[s] == 0) continue;
        expect_close(get(*backend_, out.view.row_range(step.row_begin[s], fresh[s])),
                     rows_of(expected[s], context[s], fresh[s]), 1e-5, "sequence " + std::to_string(s));
      }
    }
  }

  std::unique_ptr<Backend> backend_ = make();
};

TEST_P(Attention, PrefillsOneSequence) {
  check({8, 2, 256, 64, true, 1e-6F}, 16, {{67}});
}

TEST_P(Attention, PrefillsChunksAndDecodesTheRest) {
  check({8, 2, 256, 64, true, 1e-6F}, 16, {{33}, {1}, {64}, {1}, {1}, {3}});
}

TEST_P(Attention, MixesPrefillAndDecodeOfSeveralSequences) {
  check({16, 4, 256, 64, true, 1e-6F}, 16, {{5, 40, 1}, {1, 1, 31}, {20, 1, 1}, {1, 1, 1}});
}

TEST_P(Attention, HasTheHeadLayoutsOfTheFamily) {
  for (auto [q, kv] : {std::pair{8, 2}, {16, 2}, {16, 4}, {24, 4}, {32, 2}, {6, 1}, {1, 1}}) {
    check({q, kv, 256, 64, true, 1e-6F}, 16, {{17}, {1}});
  }
}

TEST_P(Attention, RunsWithoutGateAndNormsAndWithFullRotary) {
  check({10, 2, 128, 128, false, 1e-5F}, 16, {{19, 3}, {1, 1}}, false);
}

TEST_P(Attention, ScalesTheRotatedPart) {
  check({4, 2, 128, 128, false, 1e-6F, 1.25F}, 16, {{19}, {1}}, false);
  check({4, 2, 64, 16, true, 1e-6F, 0.8F}, 16, {{19}, {1}});
}

TEST_P(Attention, TakesAnyBlockSizeAndSmallHeads) {
  for (std::int64_t block_size : {1, 3, 4, 32, 100}) {
    check({4, 2, 32, 8, true, 1e-6F}, block_size, {{13, 50}, {1, 1}, {7, 1}});
  }
}

TEST_P(Attention, DecodesOverALongContext) {
  check({8, 2, 64, 16, true, 1e-6F}, 16, {{700}, {1}, {1}});
}

TEST_P(Attention, SplitsQueryAndGatePerHead) {
  // Gate of head 1 at minus infinity in effect: only that head's output vanishes.
  AttentionShape shape{2, 1, 32, 8, true, 1e-6F};
  Weights weights = random_weights(shape, true);
  Matrix qkv = random_matrix(1, qkv_cols(shape), 40);
  for (std::int64_t c = 0; c < 32; ++c) qkv.at(0, 3 * 32 + c) = -1000.0F;
  StepBuilder builder(16, 16, 1);
  auto cache = backend_->allocate_kv_cache({1, builder.blocks(), 16, 1, 32});
  StepInputs step = builder.next({1});
  DeviceTensor out = zeros(*backend_, 1, 64);
  backend_->begin_step(step, nullptr);
  backend_->attention(shape, put(*backend_, qkv).view, put(*backend_, weights.q_norm).view,
                      put(*backend_, weights.k_norm).view, put(*backend_, weights.inv_freq).view, *cache, 0, out.view);
  backend_->finish_step();
  Matrix got = get(*backend_, out.view);
  for (std::int64_t c = 0; c < 32; ++c) {
    EXPECT_NE(got.at(0, c), 0.0F);
    EXPECT_NEAR(got.at(0, 32 + c), 0.0F, 1e-30);
  }
}

TEST_P(Attention, UsesRotaryPositionsApartFromCachePlaces) {
  // Shifting all positions by a constant changes neither distances nor results; shifting one token alone does.
  AttentionShape shape{2, 1, 64, 64, false, 1e-6F};
  Weights weights = random_weights(shape, false);
  Matrix qkv = random_matrix(4, qkv_cols(shape), 41);
  auto run = [&](std::vector<std::int32_t> positions) {
    StepBuilder builder(16, 16, 1);
    auto cache = backend_->allocate_kv_cache({1, builder.blocks(), 16, 1, 64});
    StepInputs step = builder.next({4});
    step.positions = std::move(positions);
    DeviceTensor out = zeros(*backend_, 4, 128);
    backend_->begin_step(step, nullptr);
    backend_->attention(shape, put(*backend_, qkv).view, {}, {}, put(*backend_, weights.inv_freq).view, *cache, 0,
                        out.view);
    backend_->finish_step();
    return get(*backend_, out.view);
  };
  Matrix base = run({0, 1, 2, 3});
  expect_close(run({50, 51, 52, 53}), base, 1e-4);
  EXPECT_GT(std::abs(run({0, 1, 2, 9}).at(3, 0) - base.at(3, 0)), 1e-3);
}

MILLRACE_ON_EVERY_PATH(Attention);

}  // namespace
}  // namespace millrace::engine::test
