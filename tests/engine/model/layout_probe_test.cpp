// Which row of a weight is which channel of which head. Shapes do not tell: a wrong order loads without complaint. Each
// model has one layer, a few weights that are not zero, and an output that follows from the family's equations by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/backend/cpu/caches.h"
#include "tests/engine/model/synthetic_weights.h"
#include "tests/engine/model/tiny.h"
#include "tests/support/temp_directory.h"

namespace millrace::engine::test {
namespace {

using millrace::test::TempDirectory;

constexpr double kEps = 1e-6;

double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}
double silu(double x) {
  return x * sigmoid(x);
}

// The value of the one channel of a one-hot vector after a norm over `channels` without weights.
double normed_one_hot(double value, std::int64_t channels) {
  return value / std::sqrt(value * value / static_cast<double>(channels) + kEps);
}

nlohmann::json one_layer(const char* kind, std::int64_t hidden, std::int64_t vocab) {
  nlohmann::json config = tiny_dense();
  config["num_hidden_layers"] = 1;
  config["layer_types"] = {kind};
  config["hidden_size"] = hidden;
  config["vocab_size"] = vocab;
  config["tie_word_embeddings"] = true;
  return config;
}

// The parameter is the kernels' path: plain, or the best of the machine.
class LayoutProbe : public testing::TestWithParam<std::string> {
 protected:
  ModelRunner runner(const SyntheticWeights& weights) {
    weights.write(directory_.path());
    RunnerOptions options;
    options.isa = GetParam();
    return ModelRunner(directory_.path(), options, *comm_);
  }

  TempDirectory directory_;
  std::unique_ptr<Comm> comm_ = make_single_comm();
};

// ---- full attention: rows of q_proj are (head, query | gate, channel)

constexpr std::int64_t kQueryHeads = 4;
constexpr std::int64_t kKvHeads = 2;
constexpr std::int64_t kHeadDim = 16;
constexpr std::int64_t kRotary = 4;
constexpr std::int64_t kQueryRows = 2 * kQueryHeads * kHeadDim;
constexpr std::int64_t kKeyToken = kQueryRows;  // its embedding and channel; token r below asks by row r of q_proj
constexpr std::int64_t kAttentionHidden = kQueryRows + 1;
constexpr double kGateWeight = 0.1;

double key_channel(std::int64_t c) {  // before its norm
  return 1.0 + static_cast<double>(c);
}

SyntheticWeights attention_weights() {
  nlohmann::json config = one_layer("full_attention", kAttentionHidden, kAttentionHidden);
  config["num_attention_heads"] = kQueryHeads;
  config["num_key_value_heads"] = kKvHeads;
  config["head_dim"] = kHeadDim;
  SyntheticWeights weights(config);
  const double input = normed_one_hot(1.0, kAttentionHidden);
  for (std::int64_t i = 0; i < kAttentionHidden; ++i) weights.put("embed_tokens.weight", i, i, 1.0F);
  for (std::int64_t row = 0; row < kQueryRows; ++row) {
    const bool gate = row % (2 * kHeadDim) >= kHeadDim;
    weights.put("self_attn.q_proj.weight", row, row, gate ? static_cast<float>(kGateWeight) : 1.0F);
  }
  for (std::int64_t row = 0; row < kKvHeads * kHeadDim; ++row) {
    const auto kv_head = static_cast<double>(row / kHeadDim);
    weights.put("self_attn.k_proj.weight", row, kKeyToken, static_cast<float>(key_channel(row % kHeadDim)));
    weights.put("self_attn.v_proj.weight", row, kKeyToken, static_cast<float>((1.0 + kv_head) / input));
  }
  for (std::int64_t i = 0; i < kQueryHeads * kHeadDim; ++i) weights.put("self_attn.o_proj.weight", i, i, 1.0F);
  return weights;
}

// Score of the first token's key for a query that was one-hot at channel `c` before it turned by position 1.
double score_of_channel(std::int64_t c) {
  const double input = normed_one_hot(1.0, kAttentionHidden);
  double squares = 0.0;
  for (std::int64_t i = 0; i < kHeadDim; ++i) squares += std::pow(input * key_channel(i), 2);
  const auto key = [&](std::int64_t i) { return input * key_channel(i) / std::sqrt(squares / kHeadDim + kEps); };
  const double query = normed_one_hot(input, kHeadDim) / std::sqrt(kHeadDim);
  if (c >= kRotary) return query * key(c);
  const std::int64_t half = kRotary / 2;
  const double angle = std::pow(1e7, -2.0 * static_cast<double>(c % half) / kRotary);
  if (c < half) return query * (std::cos(angle) * key(c) + std::sin(angle) * key(c + half));
  return query * (std::cos(angle) * key(c) - std::sin(angle) * key(c - half));
}

// Token `row` sees the key token's value and its own, which is zero.
double expected_attention(std::int64_t row, std::int64_t head, std::int64_t channel) {
  const bool mine = row / (2 * kHeadDim) == head;
  const std::int64_t within = row % (2 * kHeadDim);
  const bool asks = mine && within < kHeadDim;
  const bool gates = mine && within == kHeadDim + channel;
  const auto kv_head = static_cast<double>(head / (kQueryHeads / kKvHeads));
  const double share = asks ? sigmoid(score_of_channel(within)) : 0.5;
  return (1.0 + kv_head) * share * (gates ? sigmoid(kGateWeight * normed_one_hot(1.0, kAttentionHidden)) : 0.5);
}

TEST_P(LayoutProbe, EveryRowOfTheQueryProjectionIsTheQueryOrGateOfItsHeadAndChannel) {
  ModelRunner runner = this->runner(attention_weights());
  for (std::int64_t row = 0; row < kQueryRows; ++row) {
    runner.restart(0);
    const Row out = layer_output(runner, {0, {kKeyToken, static_cast<TokenId>(row)}});
    for (std::int64_t i = 0; i < kQueryHeads * kHeadDim; ++i) {
      ASSERT_NEAR(out[static_cast<std::size_t>(i)], expected_attention(row, i / kHeadDim, i % kHeadDim), 2e-5)
          << "row " << row << " at head " << i / kHeadDim << ", channel " << i % kHeadDim;
    }
  }
}

// ---- Gated DeltaNet: value head n uses key head n / R; the state is (key channel, value channel)

constexpr std::int64_t kKeyHeads = 2;
constexpr std::int64_t kDeltaDim = 16;        // of keys and of values, so that no shape tells them apart
constexpr std::int64_t kFirstKeyChannel = 3;  // of the key that the first token writes, and so on
constexpr std::int64_t kSecondKeyChannel = 6;
constexpr std::int64_t kFirstValueChannel = 9;
constexpr std::int64_t kSecondValueChannel = 12;
constexpr TokenId kFirst = 0;
constexpr TokenId kSecond = 1;
constexpr TokenId kNothing = 2;  // writes nothing and lets nothing decay

// What the projections of a head give for the two tokens; different for every head.
double query_on_first_key(std::int64_t key_head) {
  return 0.5 + static_cast<double>(key_head);
}
double first_value(std::int64_t value_head) {
  return 1.0 + 0.25 * static_cast<double>(value_head);
}
double first_beta(std::int64_t value_head) {
  return 0.3 * static_cast<double>(value_head) - 1.0;
}
double second_decay(std::int64_t value_head) {  // after dt_bias
  return 0.2 * static_cast<double>(value_head) - 1.5;
}
double decay_log(std::int64_t value_head) {
  return 0.1 * static_cast<double>(value_head);
}
double second_gate(std::int64_t value_head) {
  return 2.0 - 0.15 * static_cast<double>(value_head);
}

class DeltaModel {
 public:
  explicit DeltaModel(std::int64_t values_per_key)
      : values_per_key_(values_per_key),
        value_heads_(values_per_key * kKeyHeads),
        hidden_(value_heads_ * kDeltaDim + 2),
        weights_(config()) {
    for (const TokenId token : {kFirst, kSecond}) weights_.put("embed_tokens.weight", token, channel_of(token), 1.0F);
    for (std::int64_t head = 0; head < kKeyHeads; ++head) set_key_head(head);
    for (std::int64_t head = 0; head < value_heads_; ++head) set_value_head(head);
    weights_.fill("linear_attn.norm.weight", 1.0F);
    weights_.fill("linear_attn.dt_bias", static_cast<float>(-kMuted));
    for (std::int64_t i = 0; i < 2 * kKeyHeads * kDeltaDim + value_heads_ * kDeltaDim; ++i) {
      weights_.put("linear_attn.conv1d.weight", i, 3, 1.0F);
    }
    for (std::int64_t i = 0; i < value_heads_ * kDeltaDim; ++i) weights_.put("linear_attn.out_proj.weight", i, i, 1.0F);
  }

  const SyntheticWeights& weights() const { return weights_; }
  std::int64_t value_heads() const { return value_heads_; }

  // What the first token leaves at [kFirstKeyChannel][kFirstValueChannel].
  static double written(std::int64_t value_head) {
    return sigmoid(first_beta(value_head)) * silu(first_value(value_head));
  }

  // The layer's output for the second token.
  double expected(std::int64_t value_head, std::int64_t channel) const {
    const double on_first = silu(query_on_first_key(value_head / values_per_key_));
    const double on_second = silu(1.0);
    const double scale = 1.0 / std::sqrt((on_first * on_first + on_second * on_second + kEps) * kDeltaDim);
    const double softplus = std::log1p(std::exp(second_decay(value_head)));
    const double kept = std::exp(-std::exp(decay_log(value_head)) * softplus);
    const double first = scale * on_first * kept * written(value_head);
    const double second = scale * on_second * 0.5 * silu(1.0);
    const double norm = std::sqrt((first * first + second * second) / kDeltaDim + kEps);
    const double value = channel == kFirstValueChannel ? first : channel == kSecondValueChannel ? second : 0.0;
    return value / norm * silu(second_gate(value_head));
  }

 private:
  static constexpr double kMuted = 100.0;  // softplus of minus so much is nothing

  nlohmann::json config() const {
    nlohmann::json config = one_layer("linear_attention", hidden_, 3);
    config["linear_num_key_heads"] = kKeyHeads;
    config["linear_num_value_heads"] = value_heads_;
    config["linear_key_head_dim"] = kDeltaDim;
    config["linear_value_head_dim"] = kDeltaDim;
    return config;
  }

  std::int64_t channel_of(TokenId token) const { return hidden_ - 2 + token; }

  // Makes row `row` of the projection give `value` for `token`.
  void project(const std::string& name, std::int64_t row, TokenId token, double value) {
    weights_.put("linear_attn." + name, row, channel_of(token),
                 static_cast<float>(value / normed_one_hot(1.0, hidden_)));
  }

  void set_key_head(std::int64_t head) {
    const std::int64_t query = head * kDeltaDim;
    const std::int64_t key = (kKeyHeads + head) * kDeltaDim;
    project("in_proj_qkv.weight", query + kFirstKeyChannel, kSecond, query_on_first_key(head));
    project("in_proj_qkv.weight", query + kSecondKeyChannel, kSecond, 1.0);
    project("in_proj_qkv.weight", key + kFirstKeyChannel, kFirst, 5.0);  // any positive number: keys are normalised
    project("in_proj_qkv.weight", key + kSecondKeyChannel, kSecond, 5.0);
  }

  void set_value_head(std::int64_t head) {
    const std::int64_t value = (2 * kKeyHeads + head) * kDeltaDim;
    project("in_proj_qkv.weight", value + kFirstValueChannel, kFirst, first_value(head));
    project("in_proj_qkv.weight", value + kSecondValueChannel, kSecond, 1.0);
    for (std::int64_t c = 0; c < kDeltaDim; ++c) {
      project("in_proj_z.weight", head * kDeltaDim + c, kSecond, second_gate(head));
    }
    project("in_proj_b.weight", head, kFirst, first_beta(head));
    project("in_proj_a.weight", head, kSecond, kMuted + second_decay(head));
    weights_.put("linear_attn.A_log", head, 0, static_cast<float>(decay_log(head)));
  }

  std::int64_t values_per_key_;
  std::int64_t value_heads_;
  std::int64_t hidden_;
  SyntheticWeights weights_;
};

// Long enough for the chunked form.
const std::vector<TokenId> kPause(70, kNothing);

std::vector<TokenId> after_first(std::vector<TokenId> rest) {
  rest.insert(rest.begin(), kFirst);
  return rest;
}

TEST_P(LayoutProbe, EveryValueHeadUsesItsOwnConstantsAndTheKeyHeadOfItsGroup) {
  for (const std::int64_t values_per_key : {1, 2, 3, 4}) {
    const DeltaModel model(values_per_key);
    ModelRunner runner = this->runner(model.weights());
    std::vector<TokenId> chunked = after_first(kPause);
    chunked.push_back(kSecond);
    runner.step({{1, {kFirst}}});
    for (const Chunk& chunk : {Chunk{0, {kFirst, kSecond}}, Chunk{1, {kSecond}}, Chunk{2, chunked}}) {
      const Row out = layer_output(runner, chunk);
      for (std::int64_t i = 0; i < model.value_heads() * kDeltaDim; ++i) {
        ASSERT_NEAR(out[static_cast<std::size_t>(i)], model.expected(i / kDeltaDim, i % kDeltaDim), 1e-4)
            << values_per_key << " value heads per key head, " << chunk.tokens.size() << " tokens, value head "
            << i / kDeltaDim << ", channel " << i % kDeltaDim;
      }
    }
  }
}

TEST_P(LayoutProbe, TheStateHoldsKeyChannelsInRowsAndValueChannelsInColumns) {
  const DeltaModel model(2);
  for (const std::vector<TokenId>& prompt : {after_first({}), after_first(kPause)}) {
    ModelRunner runner = this->runner(model.weights());
    runner.step({{0, prompt}});
    const auto& pool = dynamic_cast<const cpu::StatePool&>(*runner.states());
    for (std::int64_t head = 0; head < model.value_heads(); ++head) {
      const float* state = pool.recurrent(0, 0, head);
      for (std::int64_t i = 0; i < kDeltaDim * kDeltaDim; ++i) {
        const bool here = i == kFirstKeyChannel * kDeltaDim + kFirstValueChannel;
        ASSERT_NEAR(state[i], here ? DeltaModel::written(head) : 0.0, 1e-6)
            << prompt.size() << " tokens, head " << head << ", at " << i / kDeltaDim << ", " << i % kDeltaDim;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, LayoutProbe, testing::Values("plain", ""),
                         [](const auto& info) { return info.param.empty() ? "best" : info.param; });

}  // namespace
}  // namespace millrace::engine::test
