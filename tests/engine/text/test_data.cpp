#include "tests/engine/text/test_data.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/paths.h"

namespace millrace::engine {

namespace {
const std::filesystem::path kRoot = MILLRACE_SOURCE_DIR;
}  // namespace

std::filesystem::path golden_text_dir() {
  return kRoot / "tests/golden/text";
}
std::filesystem::path tiny_model_dir() {
  return kRoot / "examples/models/tiny-moe";
}
std::filesystem::path shared_tokenizer_dir() {
  return kRoot.parent_path() / "shared/data/tokenizer";
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> split_on(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.find(separator, begin)) != std::string::npos; begin = end + separator.size()) {
    parts.push_back(text.substr(begin, end - begin));
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::string qwen2_tokenizer_json(const std::string& pattern) {
  using nlohmann::json;
  const std::filesystem::path dir = shared_tokenizer_dir();
  json merges = json::array();
  for (const std::string& line : split_on(read_file(dir / "qwen2-merges.txt"), "\n")) {
    if (!line.empty() && line.rfind("#version", 0) != 0) merges.push_back(line);
  }
  const json split = {
      {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  const json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const json vocab = json::parse(read_file(dir / "qwen2-vocab.json"));
  const json document = {{"normalizer", {{"type", "NFC"}}},
                         {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}}},
                         {"decoder", {{"type", "ByteLevel"}}},
                         {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
  return document.dump();
}

}  // namespace millrace::engine
