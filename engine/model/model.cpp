#include "engine/model/model.h"

#include "common/error.h"
#include "engine/model/checkpoint.h"
#include "engine/model/decoder.h"
#include "engine/model/random_weights.h"

namespace millrace::engine {
namespace {

std::unique_ptr<Model> make_model(const ModelConfig& config, std::unique_ptr<WeightSource> source,
                                  const ModelOptions& options, Backend& backend, Comm& comm) {
  return std::make_unique<Decoder>(config, std::move(source), options, backend, comm);
}

void check_layout(const ModelConfig& config, const RankLayout& layout) {
  const std::string fault = validate_layout(config, layout.size, layout.expert_parallel);
  if (!fault.empty()) throw common::Error(common::Code::kInvalidArgument, fault);
}

}  // namespace

std::unique_ptr<Model> load_model(const std::filesystem::path& directory, const ModelOptions& options, Backend& backend,
                                  Comm& comm) {
  const ModelConfig config = load_model_config(directory);
  check_layout(config, options.layout);
  return make_model(config, std::make_unique<Checkpoint>(directory, config), options, backend, comm);
}

std::unique_ptr<Model> random_model(const ModelConfig& config, std::uint64_t seed, const ModelOptions& options,
                                    Backend& backend, Comm& comm) {
  check_layout(config, options.layout);
  return make_model(config, std::make_unique<RandomWeights>(config, seed), options, backend, comm);
}

}  // namespace millrace::engine
