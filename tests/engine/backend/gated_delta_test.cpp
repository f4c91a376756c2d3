#include "tests/engine/backend/fixture.h"

namespace millrace::engine::test {
namespace {

constexpr std::int64_t kLayers = 2;
constexpr std::int64_t kLayer = 1;

struct Inputs {
  Matrix qkv, ba, decay, dt_bias;
};

Inputs random_inputs(const DeltaShape& d, std::int64_t tokens, std::uint64_t seed) {
  Inputs in{random_matrix(tokens, d.conv_channels(), seed), random_matrix(tokens, 2 * d.value_heads, seed + 1),
            random_matrix(1, d.value_heads, seed + 2), random_matrix(1, d.value_heads, seed + 3)};
  for (float& value : in.decay.values) value = std::exp(value - 1.0F);
  return in;
}

// The recurrence in double precision over a whole sequence; state is [value head][key][value].
struct Reference {
  Matrix out;
  std::vector<double> state;
};

Reference recurrence(const DeltaShape& d, const Inputs& in) {
  Reference ref{Matrix(in.qkv.rows, d.value_heads * d.value_dim),
                std::vector<double>(static_cast<std::size_t>(d.value_heads * d.key_dim * d.value_dim))};
  auto unit = [&](std::int64_t t, std::int64_t begin, double scale) {
    std::vector<double> x(in.qkv.row(t) + begin, in.qkv.row(t) + begin + d.key_dim);
    double squares = 0.0;
    for (double value : x) squares += value * value;
    for (double& value : x) value *= scale / std::sqrt(squares + 1e-6);
    return x;
  };
  for (std::int64_t h = 0; h < d.value_heads; ++h) {
    double* state = ref.state.data() + h * d.key_dim * d.value_dim;
    std::int64_t kh = h / (d.value_heads / d.key_heads);
    for (std::int64_t t = 0; t < in.qkv.rows; ++t) {
      auto q = unit(t, kh * d.key_dim, 1.0 / std::sqrt(static_cast<double>(d.key_dim)));
      auto k = unit(t, (d.key_heads + kh) * d.key_dim, 1.0);
      double x = static_cast<double>(in.ba.at(t, d.value_heads + h)) + in.dt_bias.at(0, h);
      double decay = std::exp(-in.decay.at(0, h) * std::log1p(std::exp(x)));
      double beta = sigmoid(in.ba.at(t, h));
      for (std::int64_t v = 0; v < d.value_dim; ++v) {
        double read = 0.0, out = 0.0;
        for (std::size_t i = 0; i < k.size(); ++i) {
          double& cell = state[static_cast<std::int64_t>(i) * d.value_dim + v];
          cell *= decay;
          read += cell * k[i];
        }
        double fix = beta * (in.qkv.at(t, 2 * d.key_heads * d.key_dim + h * d.value_dim + v) - read);
        for (std::size_t i = 0; i < k.size(); ++i) {
          double& cell = state[static_cast<std::int64_t>(i) * d.value_dim + v];
          cell += k[i] * fix;
          out += cell * q[i];
        }
        ref.out.at(t, h * d.value_dim + v) = static_cast<float>(out);
      }
    }
  }
  return ref;
}

class GatedDelta : public EveryPath {
 protected:
  std::unique_ptr<StateCache> states(const DeltaShape& d) { return backend_->allocate_state_cache({kLayers, 4, d}); }

  Matrix run(const Inputs& in, const StepInputs& step, StateCache& states) {
    DeviceTensor out =
        zeros(*backend_, in.qkv.rows, states.shape().delta.value_heads * states.shape().delta.value_dim, 3);
    backend_->begin_step(step, &states);
    backend_->gated_delta_rule(put(*backend_, in.qkv, 2).view, put(*backend_, in.ba, 1).view,
                               put(*backend_, in.decay).view, put(*backend_, in.dt_bias).view, states, kLayer,
                               out.view);
    backend_->finish_step();
    return get(*backend_, out.view);
  }

  // Feeds one sequence in the given pieces and compares all rows with the recurrence.
  void check(const DeltaShape& d, const std::vector<std::int64_t>& pieces, double tolerance, std::uint64_t seed = 50) {
    std::int64_t total = 0;
    for (std::int64_t piece : pieces) total += piece;
    Inputs in = random_inputs(d, total, seed);
    Reference ref = recurrence(d, in);
    auto pool = states(d);
    StepBuilder builder(16, 16, 1);
    std::int64_t begin = 0;
    for (std::int64_t piece : pieces) {
      Inputs part{rows_of(in.qkv, begin, piece), rows_of(in.ba, begin, piece), in.decay, in.dt_bias};
      Matrix got = run(part, builder.next({piece}), *pool);
      expect_close(got, rows_of(ref.out, begin, piece), tolerance,
                   std::to_string(piece) + " tokens from " + std::to_string(begin));
      begin += piece;
    }
  }

  std::unique_ptr<Backend> backend_ = make();
};

TEST_P(GatedDelta, MatchesTheRecurrenceForEveryHeadRatio) {
  for (std::int64_t ratio : {1, 2, 3, 4}) {
    DeltaShape d{2, 2 * ratio, 128, 128, 4};
    check(d, {64}, 1e-5);
    check(d, {1, 1, 1}, 1e-5);
  }
}

TEST_P(GatedDelta, TakesEverySplitOfASequence) {
  DeltaShape d{1, 2, 128, 128, 4};
  for (std::int64_t piece : {1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 127}) check(d, {piece, 1, piece, 2}, 1e-5);
  check(d, {130, 3, 64, 1, 1, 63, 200}, 2e-5);
}

TEST_P(GatedDelta, TakesOtherHeadSizes) {
  check({2, 4, 16, 24, 4}, {70, 1, 9}, 1e-5);
  check({1, 1, 8, 8, 4}, {65, 1}, 1e-5);
  check({1, 3, 40, 33, 4}, {100, 1, 2}, 1e-5);
}

TEST_P(GatedDelta, StaysCloseOverFourThousandTokens) {
  DeltaShape d{1, 1, 128, 128, 4};
  Inputs in = random_inputs(d, 4096, 60);
  Reference ref = recurrence(d, in);
  auto pool = states(d);
  StepBuilder builder(16, 16, 1);
  expect_close(run(in, builder.next({4096}), *pool), ref.out, 1e-4);
  // The state is right too: the next token's output depends on all of it.
  Inputs longer = random_inputs(d, 4097, 60);
  longer.decay = in.decay;
  longer.dt_bias = in.dt_bias;
  std::copy(in.qkv.values.begin(), in.qkv.values.end(), longer.qkv.values.begin());
  std::copy(in.ba.values.begin(), in.ba.values.end(), longer.ba.values.begin());
  Reference next = recurrence(d, longer);
  Inputs last{rows_of(longer.qkv, 4096, 1), rows_of(longer.ba, 4096, 1), in.decay, in.dt_bias};
  expect_close(run(last, builder.next({1}), *pool), rows_of(next.out, 4096, 1), 1e-4);
}

TEST_P(GatedDelta, SurvivesStrongAndAbsentDecay) {
  DeltaShape d{1, 2, 128, 128, 4};
  Inputs in = random_inputs(d, 150, 61);
  in.decay.values = {80.0F, 0.0F};  // forgets everything at once, and nothing ever
  for (std::int64_t t = 0; t < 150; ++t) in.ba.at(t, 2) = 30.0F;
  Reference ref = recurrence(d, in);
  auto pool = states(d);
  StepBuilder builder(16, 16, 1);
  expect_close(run(in, builder.next({150}), *pool), ref.out, 1e-5);
}

TEST_P(GatedDelta, KeepsSequencesOfABatchApart) {
  DeltaShape d{2, 4, 128, 128, 4};
  const std::vector<std::vector<std::int64_t>> steps = {{3, 70, 1}, {1, 1, 64}, {90, 1, 1}};
  StepBuilder builder(16, 16, 3);
  auto pool = states(d);
  std::vector<Inputs> in;
  std::vector<Reference> ref;
  for (std::size_t s = 0; s < 3; ++s) {
    std::int64_t total = steps[0][s] + steps[1][s] + steps[2][s];
    in.push_back(random_inputs(d, total, 70 + 10 * s));
    in.back().decay = in[0].decay;
    in.back().dt_bias = in[0].dt_bias;
    ref.push_back(recurrence(d, in.back()));
  }
  for (const auto& fresh : steps) {
    std::vector<std::int32_t> context = builder.context();
    StepInputs step = builder.next(fresh);
    Inputs all{Matrix(step.num_tokens(), d.conv_channels()), Matrix(step.num_tokens(), 2 * d.value_heads), in[0].decay,
               in[0].dt_bias};
    for (std::size_t s = 0; s < 3; ++s) {
      std::copy_n(in[s].qkv.row(context[s]), fresh[s] * all.qkv.cols,
                  all.qkv.values.begin() + step.row_begin[s] * all.qkv.cols);
      std::copy_n(in[s].ba.row(context[s]), fresh[s] * all.ba.cols,
                  all.ba.values.begin() + step.row_begin[s] * all.ba.cols);
    }
    Matrix got = run(all, step, *pool);
    for (std::size_t s = 0; s < 3; ++s) {
      expect_close(rows_of(got, step.row_begin[s], fresh[s]), rows_of(ref[s].out, context[s], fresh[s]), 1e-5);
    }
  }
}

TEST_P(GatedDelta, RestoresASnapshotBitForBit) {
  DeltaShape d{2, 2, 128, 128, 4};
  auto pool = states(d);
  Inputs prompt = random_inputs(d, 66, 90);
  Inputs next = random_inputs(d, 1, 91);
  StepBuilder builder(16, 16, 1);
  run(prompt, builder.next({66}), *pool);
  StepInputs snapshot = builder.next({1});
  StepInputs restore = snapshot;
  snapshot.slot_copies = {{1, 3}};
  Matrix first = run(next, snapshot, *pool);
  run(next, builder.next({1}), *pool);
  restore.slot_copies = {{3, 1}};
  EXPECT_EQ(run(next, restore, *pool).values, first.values);
}

TEST_P(GatedDelta, StartsAReusedSlotFromZero) {
  DeltaShape d{1, 2, 128, 128, 4};
  auto pool = states(d);
  Inputs in = random_inputs(d, 70, 92);
  StepBuilder first(16, 16, 1);
  Matrix once = run(in, first.next({70}), *pool);
  StepBuilder second(16, 16, 1);
  EXPECT_EQ(run(in, second.next({70}), *pool).values, once.values);
}

TEST_P(GatedDelta, KeepsKeyAndValueAxesApart) {
  // One write with the key e_2 and the value e_5: only a query along e_2 reads it, and it comes out at 5.
  DeltaShape d{1, 1, 16, 16, 4};
  auto pool = states(d);
  Inputs in{Matrix(2, 48), Matrix(2, 2), Matrix(1, 1), Matrix(1, 1)};
  in.qkv.at(0, 16 + 2) = 1.0F;
  in.qkv.at(0, 32 + 5) = 1.0F;
  in.qkv.at(1, 2) = 1.0F;
  in.ba.at(0, 0) = 40.0F;   // beta 1
  in.ba.at(1, 0) = -40.0F;  // no second write
  StepBuilder builder(16, 16, 1);
  Matrix out = run(in, builder.next({2}), *pool);
  for (std::int64_t c = 0; c < 16; ++c) EXPECT_NEAR(out.at(1, c), c == 5 ? 0.25 : 0.0, 1e-6) << c;
}

MILLRACE_ON_EVERY_PATH(GatedDelta);

class CausalConv : public EveryPath {};

TEST_P(CausalConv, GivesTheSameForEverySplit) {
  auto backend = make();
  DeltaShape d{1, 3, 8, 7, 4};  // 37 channels
  const std::int64_t channels = d.conv_channels();
  Matrix x = random_matrix(140, channels, 100);
  Matrix weight = random_matrix(channels, 4, 101);
  Matrix expected(140, channels);
  for (std::int64_t t = 0; t < 140; ++t) {
    for (std::int64_t c = 0; c < channels; ++c) {
      double sum = 0.0;
      for (std::int64_t j = 0; j < 4; ++j)
        sum += t - 3 + j < 0 ? 0.0 : static_cast<double>(weight.at(c, j)) * x.at(t - 3 + j, c);
      expected.at(t, c) = static_cast<float>(silu(sum));
    }
  }
  const std::vector<std::vector<std::int64_t>> splits = {{140},    {1, 1, 1, 1, 136}, {2, 1, 137},
                                                         {3, 137}, {4, 63, 1, 64, 8}, {65, 2, 73}};
  auto pool = backend->allocate_state_cache({kLayers, 4, d});
  for (const auto& split : splits) {
    StepBuilder builder(16, 16, 1);
    std::int64_t begin = 0;
    for (std::int64_t piece : split) {
      StepInputs step = builder.next({piece});
      DeviceTensor out = zeros(*backend, piece, channels, 2);
      backend->begin_step(step, pool.get());
      backend->causal_conv(put(*backend, rows_of(x, begin, piece), 4).view, put(*backend, weight).view, *pool, kLayer,
                           out.view);
      backend->finish_step();
      expect_close(get(*backend, out.view), rows_of(expected, begin, piece), 2e-6);
      begin += piece;
    }
  }
}

TEST_P(CausalConv, KeepsSequencesApart) {
  auto backend = make();
  DeltaShape d{1, 1, 128, 128, 4};
  Matrix x = random_matrix(9, d.conv_channels(), 102);
  Matrix weight = random_matrix(d.conv_channels(), 4, 103);
  auto run = [&](const std::vector<std::int64_t>& fresh, const Matrix& rows) {
    auto pool = backend->allocate_state_cache({kLayers, 4, d});
    StepBuilder builder(16, 16, fresh.size());
    StepInputs step = builder.next(fresh);
    DeviceTensor out = zeros(*backend, rows.rows, rows.cols);
    backend->begin_step(step, pool.get());
    backend->causal_conv(put(*backend, rows).view, put(*backend, weight).view, *pool, kLayer, out.view);
    backend->finish_step();
    return get(*backend, out.view);
  };
  Matrix both = run({5, 4}, x);
  EXPECT_EQ(run({5}, rows_of(x, 0, 5)).values, rows_of(both, 0, 5).values);
  EXPECT_EQ(run({4}, rows_of(x, 5, 4)).values, rows_of(both, 5, 4).values);
}

MILLRACE_ON_EVERY_PATH(CausalConv);

}  // namespace
}  // namespace millrace::engine::test
