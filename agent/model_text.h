// The text side of a checkpoint: how conversations become tokens and back. Immutable; any thread.
#pragma once

#include <filesystem>

#include "engine/engine.h"
#include "engine/text/chat_template.h"
#include "engine/tokenizer.h"

namespace millrace::agent {

struct ModelText {
  engine::Tokenizer tokenizer;
  engine::ChatTemplate chat_template;
  engine::SamplingParams defaults;  // generation_config.json over the API's defaults

  // What the engine needs to know of it.
  engine::ModelTokens tokens() const;
};

// Throws common::Error naming the file.
ModelText load_model_text(const std::filesystem::path& model_directory);

}  // namespace millrace::agent
