#include "engine/text/splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "common/error.h"

namespace millrace::engine {

const char* const Splitter::kQwen35Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const Splitter::kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const Splitter::kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

std::string pcre_message(int code) {
  unsigned char buffer[256];
  if (pcre2_get_error_message(code, buffer, sizeof(buffer)) < 0) return "error " + std::to_string(code);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct Splitter::Regex {
  explicit Regex(const std::string& pattern) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF | PCRE2_UCP, &error,
                         &offset, nullptr);
    if (code == nullptr) {
      throw common::Error(common::Code::kInvalidArgument,
                          "tokenizer.json: pre_tokenizer: pattern.Regex is not a regular expression PCRE2 accepts: " +
                              pcre_message(error) + " at offset " + std::to_string(offset));
    }
  }
  ~Regex() { pcre2_code_free(code); }
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  pcre2_code* code;
};

Splitter::Splitter() = default;
Splitter::~Splitter() = default;
Splitter::Splitter(Splitter&&) noexcept = default;
Splitter& Splitter::operator=(Splitter&&) noexcept = default;

Splitter::Splitter(const std::string& pattern) {
  if (pattern == kQwen35Pattern) {
    marks_ = MarkRule::kWithLetters;
  } else if (pattern == kQwen2Pattern) {
    marks_ = MarkRule::kWithPunctuation;
  } else {
    regex_ = std::make_unique<Regex>(pattern);
  }
}

Splitter Splitter::with_pcre(const std::string& pattern) {
  Splitter splitter;
  splitter.regex_ = std::make_unique<Regex>(pattern);
  return splitter;
}

void Splitter::split(std::string_view text, const Sink& sink) const {
  if (regex_) return split_regex(text, sink);
  while (!text.empty()) {
    const std::size_t length = scan_piece(text, marks_);
    sink(text.substr(0, length));
    text.remove_prefix(length);
  }
}

void Splitter::split_regex(std::string_view text, const Sink& sink) const {
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match(
      pcre2_match_data_create_from_pattern(regex_->code, nullptr), pcre2_match_data_free);
  std::size_t done = 0;
  while (done < text.size()) {
    const int rc = pcre2_match(regex_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), done,
                               PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match.get(), nullptr);
    if (rc == PCRE2_ERROR_NOMATCH) break;
    if (rc < 0) {
      throw common::Error(common::Code::kInvalidArgument,
                          "the tokenizer's split pattern gives up on this text: " + pcre_message(rc));
    }
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
    // \K inside a lookahead can start a match before its search position or after its own end.
    if (range[0] < done || range[1] <= range[0]) {
      throw common::Error(common::Code::kInvalidArgument, "the tokenizer's split pattern gives overlapping pieces");
    }
    if (range[0] > done) sink(text.substr(done, range[0] - done));
    sink(text.substr(range[0], range[1] - range[0]));
    done = range[1];
  }
  if (done < text.size()) sink(text.substr(done));
}

}  // namespace millrace::engine
