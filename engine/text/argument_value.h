// A tool argument as the model wrote it, as JSON of the type its schema asks for (qwen3_5-io 3.2).
#pragma once

#include <string>
#include <string_view>

#include "engine/text/tool_set.h"

namespace millrace::engine {

// JSON text. What does not fit the type is kept as a string, so that nothing the model said is lost.
std::string argument_to_json(std::string_view text, ArgumentType type);

// True if the whole text means JSON null for an argument of this type.
bool means_null(std::string_view text, ArgumentType type);
// True if text could still grow into such a text.
bool may_mean_null(std::string_view text, ArgumentType type);

}  // namespace millrace::engine
