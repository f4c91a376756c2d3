// Weights made up on demand: every value is a pure function of (seed, tensor name, index), so all ranks agree whatever
// the layout.
#pragma once

#include "engine/model/weight_source.h"

namespace millrace::engine {

class RandomWeights : public WeightSource {
 public:
  RandomWeights(const ModelConfig& config, std::uint64_t seed) : config_(config), seed_(seed) {}

  HostWeight tensor(const TensorSpec& spec) const override;
  ExpertWeight expert(std::int64_t layer, std::int32_t expert) const override;
  void drop(const HostWeight&) const override {}  // the storage goes with the weight

 private:
  HostWeight generate(const std::string& name, std::int64_t rows, std::int64_t cols) const;

  ModelConfig config_;
  std::uint64_t seed_;
};

}  // namespace millrace::engine
