// Files that tests read: from the source tree, and from the shared data folder that may stand beside it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace millrace::engine {

std::filesystem::path golden_text_dir();
std::filesystem::path tiny_model_dir();
std::filesystem::path shared_tokenizer_dir();  // may be absent

std::string read_file(const std::filesystem::path& path);
std::vector<std::string> split_on(const std::string& text, const std::string& separator);

// tokenizer.json as the family writes it, from the Qwen2 vocabulary and merges of shared_tokenizer_dir().
std::string qwen2_tokenizer_json(const std::string& pattern);

}  // namespace millrace::engine
