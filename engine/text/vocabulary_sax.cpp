#include "engine/text/vocabulary_sax.h"

#include "common/error.h"

namespace millrace::engine {
namespace {

constexpr std::size_t kMaxNesting = 64;

[[noreturn]] void refuse_file(const std::string& what) {
  throw common::Error(common::Code::kInvalidArgument, "tokenizer.json: " + what);
}

}  // namespace

bool VocabularySax::number_unsigned(number_unsigned_t value) {
  if (table_ != Table::kVocabulary) return scalar(value);
  const std::string name(spec_.text(entry_));
  if (value > static_cast<number_unsigned_t>(kMaxTokenId)) {
    refuse_file("model.vocab: the id of \"" + name + "\" is " + std::to_string(value) + "; the largest accepted is " +
                std::to_string(kMaxTokenId));
  }
  spec_.vocabulary.push_back({entry_, static_cast<TokenId>(value)});
  return true;
}

bool VocabularySax::string(string_t& value) {
  if (table_ == Table::kMerges) {
    add_merge_line(value);
    return true;
  }
  if (table_ == Table::kMergePair) {
    pair_.push_back(intern(value));
    return true;
  }
  return scalar(std::move(value));
}

bool VocabularySax::start_object(std::size_t) {
  if (at_model_field("vocab")) {
    place(nlohmann::json::object());
    table_ = Table::kVocabulary;
    return true;
  }
  open_.push_back(place(nlohmann::json::object()));
  path_.push_back(key_);
  return true;
}

bool VocabularySax::key(string_t& name) {
  if (table_ == Table::kVocabulary) {
    entry_ = intern(name);
  } else {
    key_ = std::move(name);
  }
  return true;
}

bool VocabularySax::end_object() {
  if (table_ == Table::kVocabulary) {
    table_ = Table::kNone;
    return true;
  }
  open_.pop_back();
  path_.pop_back();
  return true;
}

bool VocabularySax::start_array(std::size_t) {
  if (at_model_field("merges")) {
    place(nlohmann::json::array());
    table_ = Table::kMerges;
    return true;
  }
  if (table_ == Table::kMerges) {
    table_ = Table::kMergePair;
    pair_.clear();
    return true;
  }
  open_.push_back(place(nlohmann::json::array()));
  path_.push_back(key_);
  return true;
}

bool VocabularySax::end_array() {
  if (table_ == Table::kMergePair) {
    if (pair_.size() != 2) bad_merge();
    spec_.merges.emplace_back(pair_[0], pair_[1]);
    table_ = Table::kMerges;
    return true;
  }
  if (table_ == Table::kMerges) {
    table_ = Table::kNone;
    return true;
  }
  open_.pop_back();
  path_.pop_back();
  return true;
}

bool VocabularySax::parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error) {
  refuse_file("not JSON at byte " + std::to_string(position) + ": " + error.what());
}

bool VocabularySax::scalar(nlohmann::json value) {
  place(std::move(value));
  return true;
}

// Puts a value into the innermost open container of the document.
nlohmann::json* VocabularySax::place(nlohmann::json value) {
  if (table_ == Table::kVocabulary) {
    refuse_file("model.vocab: \"" + std::string(spec_.text(entry_)) + "\" has no integer id");
  }
  if (table_ != Table::kNone) bad_merge();
  if (open_.empty()) {
    document_ = std::move(value);
    return &document_;
  }
  if (open_.size() == kMaxNesting) refuse_file("nested deeper than " + std::to_string(kMaxNesting) + " levels");
  nlohmann::json& container = *open_.back();
  if (container.is_array()) {
    container.push_back(std::move(value));
    return &container.back();
  }
  nlohmann::json& field = container[key_];
  field = std::move(value);
  return &field;
}

// True when the value to come is the named field of the top-level object "model".
bool VocabularySax::at_model_field(const char* name) const {
  return table_ == Table::kNone && open_.size() == 2 && path_[1] == "model" && open_[1]->is_object() && key_ == name;
}

Spelling VocabularySax::intern(std::string_view text) {
  const Spelling spelling{static_cast<std::uint32_t>(spec_.strings.size()), static_cast<std::uint32_t>(text.size())};
  if (text.size() > UINT32_MAX - spec_.strings.size()) refuse_file("model: more than 4 GB of tokens");
  spec_.strings.append(text);
  return spelling;
}

void VocabularySax::add_merge_line(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) bad_merge();
  spec_.merges.emplace_back(intern(line.substr(0, space)), intern(line.substr(space + 1)));
}

void VocabularySax::bad_merge() const {
  refuse_file("model.merges[" + std::to_string(spec_.merges.size()) +
              "] is neither \"left right\" nor [\"left\", \"right\"]");
}

}  // namespace millrace::engine
