// The forward pass of one rank. Phases as in the model's equations; each rank works on its share of heads, channels,
// experts and vocabulary, and two sums over the ranks per layer put the shares together.
#pragma once

#include "engine/model/activations.h"
#include "engine/model/expert_store.h"
#include "engine/model/weights.h"

namespace millrace::engine {

class Decoder : public Model {
 public:
  // Loads from `source`, which is kept for experts that move later. options.layout must be valid for the configuration.
  Decoder(ModelConfig config, std::unique_ptr<WeightSource> source, const ModelOptions& options, Backend& backend,
          Comm& comm);

  const ModelConfig& config() const override { return config_; }
  std::size_t weight_bytes() const override { return weights_.bytes + (experts_ ? experts_->bytes() : 0); }
  KvCacheShape kv_cache_shape(std::int64_t blocks, std::int64_t block_size) const override;
  StateCacheShape state_cache_shape(std::int64_t slots) const override;

  Tensor forward(const StepInputs& inputs, KvCache& kv, StateCache* states) override;

  const ExpertPlacement& placement() const override { return experts_ ? experts_->placement() : no_placement_; }
  void prepare_placement(const ExpertPlacement& next, ExpertPace& pace) override;
  void commit_placement() override;
  std::int64_t expert_bytes() const override { return experts_ ? experts_->expert_bytes() : 0; }
  std::vector<std::int64_t> take_expert_counts() override;

  void set_layer_probe(std::function<void(std::int64_t, const Tensor&)> probe) override { probe_ = std::move(probe); }

 private:
  // Where the layers of a step read and write; `kv_layer` and `state_layer` count up.
  struct Step {
    std::int64_t tokens = 0;
    KvCache& kv;
    StateCache* states;
    std::int64_t kv_layer = 0;
    std::int64_t state_layer = 0;
    Tensor residual{};  // (tokens, hidden)
    Tensor normed{};    // (tokens, hidden)
    Tensor delta{};     // (tokens, hidden)
  };

  void embed(const Step& step);
  void attend(const AttentionWeights& weights, Step& step);
  void mix_delta(const DeltaWeights& weights, Step& step);
  void feed_forward(const MlpWeights& weights, const Step& step, const Tensor& out);
  void route_to_experts(const MoeWeights& weights, std::int64_t layer, const Step& step);
  void move_expert_counts();
  void finish_layer(std::int64_t layer, const Step& step);
  Tensor output_logits(const StepInputs& inputs, const Step& step);
  void sum_over_ranks(const Tensor& x);
  void probe(std::int64_t layer, const Tensor& residual) const;

  ModelConfig config_;
  RankLayout layout_;
  Backend& backend_;
  Comm& comm_;
  std::int64_t max_tokens_;
  std::int64_t max_logit_rows_;
  std::unique_ptr<WeightSource> source_;
  ModelWeights weights_;
  std::unique_ptr<ExpertStore> experts_;  // null in dense models
  ExpertPlacement no_placement_;
  DeviceTensor expert_counts_;               // I32 (layers, experts)
  std::vector<std::int64_t> expert_totals_;  // (layers, experts): counts that were moved out of expert_counts_
  std::int64_t max_tokens_counted_;
  std::int64_t tokens_counted_ = 0;  // in expert_counts_
  Activations buffers_;
  std::function<void(std::int64_t, const Tensor&)> probe_;
};

}  // namespace millrace::engine
