#include "engine/backend/cpu/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/backend/cpu/philox.h"

namespace millrace::engine::cpu {
namespace {

using Candidate = SamplerScratch::Candidate;

constexpr float kGreedyBelow = 1e-5F;
constexpr std::int32_t kInPrompt = 1 << 30;  // flag beside the count of a mark

bool better(const Candidate& a, const Candidate& b) {
  return a.value > b.value || (a.value == b.value && a.token < b.token);
}

// The k best of values, best first, ties to the lower token. Candidates above the k-th best so far pile up behind it
// until the list is twice as long, then the list is cut: linear in the vocabulary for any k.
void select_best(std::span<const float> values, std::size_t k, std::vector<Candidate>& best) {
  best.clear();
  float threshold = -std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (best.size() >= k && !(values[i] > threshold)) continue;
    best.push_back({values[i], static_cast<TokenId>(i)});
    if (best.size() < 2 * k) continue;
    std::nth_element(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(k - 1), best.end(), better);
    best.resize(k);
    threshold = best.back().value;
  }
  std::sort(best.begin(), best.end(), better);
  if (best.size() > k) best.resize(k);
}

double total_of(std::span<const Candidate> candidates) {
  double total = 0.0;
  for (const Candidate& c : candidates) total += c.value;
  return total;
}

// Length of the smallest prefix, in order of weight, that holds `mass`; at least 1. Halves the range instead of sorting
// it: afterwards the prefix holds the right tokens, in no order.
std::size_t nucleus(std::span<Candidate> candidates, double mass) {
  std::size_t begin = 0;
  std::size_t end = candidates.size();
  while (end - begin > 1) {
    std::size_t middle = begin + (end - begin) / 2;
    auto at = candidates.begin();
    std::nth_element(at + static_cast<std::ptrdiff_t>(begin), at + static_cast<std::ptrdiff_t>(middle),
                     at + static_cast<std::ptrdiff_t>(end), better);
    double upper = total_of(candidates.subspan(begin, middle - begin));
    if (upper >= mass) {
      end = middle;
    } else {
      mass -= upper;
      begin = middle;
    }
  }
  return end;
}

class RowSampler {
 public:
  RowSampler(const Kernels& kernels, SamplerScratch& scratch, std::span<const float> raw, const SamplingRow& row)
      : kernels_(kernels), scratch_(scratch), raw_(raw), logits_(raw), row_(row) {}

  SampledToken run() {
    SampledToken result;
    LogitScan scan = kernels_.scan_logits(raw_.data(), size());
    result.finite = scan.finite;
    if (!scan.finite) return result;
    if (row_.num_logprobs > 0) most_likely(result);
    if (row_.num_logprobs >= 0) log_total_ = scan.largest + std::log(exponentials(scan.largest, 1.0F));
    if (edits()) {
      apply_edits();
      scan.largest = kernels_.scan_logits(logits_.data(), size()).largest;
    }
    result.finite = std::isfinite(scan.largest);  // everything banned leaves nothing to draw
    if (!result.finite) return result;
    result.token = row_.temperature < kGreedyBelow ? first_of(scan.largest) : draw(scan.largest);
    if (row_.num_logprobs >= 0) result.logprob = logprob(raw_[static_cast<std::size_t>(result.token)]);
    for (TokenLogprob& entry : result.top) entry.logprob = logprob(entry.logprob);
    return result;
  }

 private:
  std::int64_t size() const { return static_cast<std::int64_t>(raw_.size()); }
  float logprob(float logit) const { return static_cast<float>(logit - log_total_); }

  bool penalised() const {
    return row_.repetition_penalty != 1.0F || row_.frequency_penalty != 0.0F || row_.presence_penalty != 0.0F;
  }
  bool edits() const { return !row_.banned.empty() || !row_.logit_bias.empty() || penalised(); }
  bool known(TokenId token) const { return token >= 0 && token < size(); }

  // Leaves logits in the logprob fields; run() turns them into probabilities once the total is known.
  void most_likely(SampledToken& result) {
    auto k = std::min(static_cast<std::size_t>(row_.num_logprobs), raw_.size());
    select_best(raw_, k, scratch_.candidates);
    for (const Candidate& c : scratch_.candidates) result.top.push_back({c.token, c.value});
  }

  void apply_edits() {
    std::vector<float>& z = scratch_.logits;
    z.assign(raw_.begin(), raw_.end());
    logits_ = z;
    for (TokenId token : row_.banned) {
      if (known(token)) z[static_cast<std::size_t>(token)] = -std::numeric_limits<float>::infinity();
    }
    for (const auto& [token, bias] : row_.logit_bias) {
      if (known(token)) z[static_cast<std::size_t>(token)] += bias;
    }
    if (penalised()) apply_penalties(z);
  }

  void apply_penalties(std::vector<float>& z) {
    std::vector<std::int32_t>& marks = scratch_.marks;
    if (marks.size() < z.size()) marks.resize(z.size(), 0);
    for (TokenId token : row_.prompt) {
      if (known(token)) marks[static_cast<std::size_t>(token)] |= kInPrompt;
    }
    for (TokenId token : row_.output) {
      if (known(token)) ++marks[static_cast<std::size_t>(token)];
    }
    for (std::span<const TokenId> tokens : {row_.prompt, row_.output}) {
      for (TokenId token : tokens) {
        if (known(token)) penalise(z[static_cast<std::size_t>(token)], marks[static_cast<std::size_t>(token)]);
      }
    }
  }

  // Consumes the mark, so that a token is penalised once however often it occurs.
  void penalise(float& logit, std::int32_t& mark) const {
    if (mark == 0) return;
    logit = logit > 0.0F ? logit / row_.repetition_penalty : logit * row_.repetition_penalty;
    std::int32_t count = mark & ~kInPrompt;
    if (count > 0) logit -= row_.frequency_penalty * static_cast<float>(count) + row_.presence_penalty;
    mark = 0;
  }

  TokenId first_of(float value) const {
    return static_cast<TokenId>(std::find(logits_.begin(), logits_.end(), value) - logits_.begin());
  }

  // Fills scratch weights; returns their sum.
  double exponentials(float largest, float temperature) {
    scratch_.weights.resize(raw_.size());
    return kernels_.exp_logits(logits_.data(), size(), largest, 1.0F / temperature, scratch_.weights.data());
  }

  TokenId draw(float largest) {
    if (row_.top_k > 0 && row_.top_k < size()) return draw_from_top_k(largest);
    double total = exponentials(largest, row_.temperature);
    if (row_.min_p <= 0.0F && row_.top_p >= 1.0F) return draw_from_all(total);
    return draw_filtered(total);
  }

  // min_p, top_k and top_p each keep a prefix of the tokens in order of probability, so on the k best, sorted, the
  // other two only shorten the prefix.
  TokenId draw_from_top_k(float largest) {
    std::vector<Candidate>& best = scratch_.candidates;
    select_best(logits_, static_cast<std::size_t>(row_.top_k), best);
    for (Candidate& c : best) c.value = std::exp((c.value - largest) / row_.temperature);
    while (best.size() > 1 && best.back().value < row_.min_p) best.pop_back();
    if (row_.top_p >= 1.0F) return draw_from(best);
    double mass = row_.top_p * total_of(best);
    std::size_t kept = 0;
    for (double sum = 0.0; kept == 0 || (kept < best.size() && sum < mass); ++kept) sum += best[kept].value;
    return draw_from(std::span(best).first(kept));
  }

  TokenId draw_filtered(double total) {
    std::vector<Candidate>& kept = scratch_.candidates;
    if (row_.min_p > 0.0F) total = keep_at_least(row_.min_p);
    if (row_.top_p >= 1.0F) return draw_from(kept);
    double mass = row_.top_p * total;
    // All tokens below this weight together weigh less than what top_p cuts off, so none of them is in the nucleus.
    auto tail = static_cast<float>(std::max(0.0, (total - mass) / static_cast<double>(size())));
    keep_at_least(std::max(std::min(row_.min_p, 1.0F), std::min(tail, 1.0F)));
    return draw_from(std::span(kept).first(nucleus(kept, mass)));
  }

  // Weights of at least `limit` become the candidates; returns their sum.
  double keep_at_least(float limit) {
    std::vector<Candidate>& kept = scratch_.candidates;
    kept.clear();
    limit = std::min(limit, 1.0F);  // the most likely token, of weight 1, always stays
    for (std::size_t i = 0; i < scratch_.weights.size(); ++i) {
      if (scratch_.weights[i] >= limit) kept.push_back({scratch_.weights[i], static_cast<TokenId>(i)});
    }
    return total_of(kept);
  }

  double uniform_below(double total) const { return uniform(row_.seed, row_.step_index) * total; }

  TokenId draw_from(std::span<const Candidate> candidates) const {
    double rest = uniform_below(total_of(candidates));
    for (const Candidate& c : candidates) {
      if (rest < c.value) return c.token;
      rest -= c.value;
    }
    return candidates.front().token;  // only rounding leads here
  }

  TokenId draw_from_all(double total) const {
    const std::vector<float>& weights = scratch_.weights;
    double rest = uniform_below(total);
    TokenId last = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] <= 0.0F) continue;
      if (rest < weights[i]) return static_cast<TokenId>(i);
      rest -= weights[i];
      last = static_cast<TokenId>(i);
    }
    return last;  // only rounding leads here
  }

  const Kernels& kernels_;
  SamplerScratch& scratch_;
  std::span<const float> raw_;
  std::span<const float> logits_;  // raw_ or its edited copy
  const SamplingRow& row_;
  double log_total_ = 0.0;
};

}  // namespace

std::span<const SampledToken> Sampler::sample(ThreadPool& pool, const Kernels& kernels, const Tensor& logits,
                                              std::int64_t valid_vocab, std::span<const SamplingRow> rows) {
  scratch_.resize(static_cast<std::size_t>(pool.threads()));
  tokens_.resize(rows.size());
  auto vocab = static_cast<std::size_t>(std::min(valid_vocab, logits.cols));
  pool.run(static_cast<std::int64_t>(rows.size()), [&](std::int64_t i, std::int32_t worker) {
    std::span<const float> row(float_row(logits, i), vocab);
    tokens_[static_cast<std::size_t>(i)] =
        RowSampler(kernels, scratch_[static_cast<std::size_t>(worker)], row, rows[static_cast<std::size_t>(i)]).run();
  });
  return tokens_;
}

}  // namespace millrace::engine::cpu
