// Models that are too small to say anything but have every kind of tensor.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/model/config.h"
#include "tests/engine/model/safetensors_writer.h"
#include "tests/support/temp_directory.h"

namespace millrace::engine::test {

nlohmann::json tiny_dense();  // one Gated DeltaNet and one attention layer, untied, text-only names
nlohmann::json tiny_moe();    // the same with 4 experts and a shared one

// All tensors of the model, zero, under `prefix`.
std::vector<TensorToWrite> zero_tensors(const nlohmann::json& config, const std::string& prefix = "model.",
                                        const std::string& dtype = "BF16");

// Replaces the fused expert tensors by one tensor per expert and projection.
std::vector<TensorToWrite> unfused(const nlohmann::json& config, std::vector<TensorToWrite> tensors);

// A directory with config.json and model.safetensors.
void write_model(const millrace::test::TempDirectory& directory, const nlohmann::json& config,
                 const std::vector<TensorToWrite>& tensors);

}  // namespace millrace::engine::test
