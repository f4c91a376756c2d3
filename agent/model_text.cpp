#include "agent/model_text.h"

#include <nlohmann/json.hpp>

#include "agent/generation_request.h"
#include "common/error.h"
#include "common/file.h"

namespace millrace::agent {
namespace {

std::string read_model_type(const std::filesystem::path& path) {
  const auto config = nlohmann::json::parse(common::read_file(path, "model type"), nullptr, false);
  if (!config.is_object() || !config.contains("model_type") || !config["model_type"].is_string()) {
    throw common::Error(common::Code::kInvalidArgument,
                        path.string() + " has no model_type; expected the config.json of a checkpoint");
  }
  return config["model_type"].get<std::string>();
}

}  // namespace

engine::ModelTokens ModelText::tokens() const {
  return {.drawable_vocab = tokenizer.size(), .stop_ids = tokenizer.stop_ids()};
}

ModelText load_model_text(const std::filesystem::path& model_directory) {
  if (!std::filesystem::is_directory(model_directory)) {
    throw common::Error(common::Code::kNotFound, "the model folder " + model_directory.string() + " does not exist");
  }
  const std::string model_type = read_model_type(model_directory / "config.json");
  return {
      .tokenizer = engine::Tokenizer::load(model_directory),
      .chat_template = engine::ChatTemplate::load(model_directory, model_type),
      .defaults = default_sampling_params(
          common::read_file_if_present(model_directory / "generation_config.json", "sampling defaults").value_or(""))};
}

}  // namespace millrace::agent
