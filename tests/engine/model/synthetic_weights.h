// A model of one layer whose weights are zero but where a test sets them, so that what a layer gives can be said in a
// line of arithmetic.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/engine/model/model_runner.h"

namespace millrace::engine::test {

class SyntheticWeights {
 public:
  explicit SyntheticWeights(nlohmann::json config);

  // Names are those of layer 0 ("self_attn.q_proj.weight"), or "embed_tokens.weight".
  void put(const std::string& name, std::int64_t row, std::int64_t col, float value);
  void fill(const std::string& name, float value);

  void write(const std::filesystem::path& directory) const;

 private:
  struct Entry {
    std::vector<std::int64_t> shape;
    std::vector<float> values;
  };
  Entry& entry(const std::string& name);

  nlohmann::json config_;
  std::map<std::string, Entry> entries_;  // by the name in the file
};

// What layer 0 adds to the residual stream in the row of the last token of `chunk`, run after what came before.
Row layer_output(ModelRunner& runner, const Chunk& chunk);

}  // namespace millrace::engine::test
