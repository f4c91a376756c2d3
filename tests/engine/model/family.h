// config.json of every released size, as the specification lists the values.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/model/config.h"

namespace millrace::engine::test {

std::vector<std::string> family_names();              // the eight sizes of Qwen3.5 and "QwQ-32B"
nlohmann::json family_json(const std::string& name);  // the document
ModelConfig family_config(const std::string& name);   // parsed
ModelConfig parse(const nlohmann::json& document);

}  // namespace millrace::engine::test
