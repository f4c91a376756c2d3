// The event handler that splits tokenizer.json into its two large tables and a document with everything else.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/text/tokenizer_json.h"

namespace millrace::engine {

// For nlohmann::json::sax_parse. Fills strings, vocabulary and merges of the spec; /model/vocab and /model/merges stay
// empty in the document. Throws common::Error for malformed JSON and malformed tables.
class VocabularySax {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  VocabularySax(TokenizerSpec& spec, nlohmann::json& document) : spec_(spec), document_(document) {}

  bool null() { return scalar(nullptr); }
  bool boolean(bool value) { return scalar(value); }
  bool number_integer(number_integer_t value) { return scalar(value); }
  bool number_unsigned(number_unsigned_t value);
  bool number_float(number_float_t value, const string_t&) { return scalar(value); }
  bool string(string_t& value);
  bool binary(binary_t&) { return false; }  // JSON text has none
  bool start_object(std::size_t);
  bool key(string_t& name);
  bool end_object();
  bool start_array(std::size_t);
  bool end_array();
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error);

 private:
  enum class Table { kNone, kVocabulary, kMerges, kMergePair };

  bool scalar(nlohmann::json value);
  nlohmann::json* place(nlohmann::json value);
  bool at_model_field(const char* name) const;
  Spelling intern(std::string_view text);
  void add_merge_line(std::string_view line);
  [[noreturn]] void bad_merge() const;

  TokenizerSpec& spec_;
  nlohmann::json& document_;
  std::vector<nlohmann::json*> open_;  // containers from the root down
  std::string key_;                    // of the value to come in the innermost object
  std::vector<std::string> path_;      // keys that lead to the containers in open_, "" for array elements
  Table table_ = Table::kNone;
  Spelling entry_;              // vocabulary: the entry whose id comes next
  std::vector<Spelling> pair_;  // merges: the parts seen of ["left", "right"]
};

}  // namespace millrace::engine
