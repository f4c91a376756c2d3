// The family's split pattern as a scanner. Each function below is one alternative of
//   (?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+ | \p{N} | ?[^\s\p{L}\p{M}\p{N}]+[\r\n]* | \s*[\r\n]+
//   | \s+(?!\S) | \s+
// and returns the length it matches at the start of the text, 0 for no match; the first that matches wins.
#include <array>

#include "engine/text/splitter.h"
#include "engine/text/unicode.h"
#include "engine/text/utf8.h"

namespace millrace::engine {
namespace {

struct Char {
  CharClass kind;
  std::size_t length;
};

const std::array<CharClass, 128>& ascii_classes() {
  static const std::array<CharClass, 128> classes = [] {
    std::array<CharClass, 128> table{};
    for (std::uint32_t c = 0; c < 128; ++c) table[c] = char_class(c);
    return table;
  }();
  return classes;
}

class Scanner {
 public:
  Scanner(std::string_view text, MarkRule marks) : text_(text), marks_(marks) {}

  std::size_t contraction() const {
    if (text_[0] != '\'' || text_.size() < 2) return 0;
    const char first = lower(text_[1]);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
    if (text_.substr(1, 2) == "\u017F") return 3;  // the long s folds to s
    if (text_.size() < 3) return 0;
    const char second = lower(text_[2]);
    const bool two =
        (first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l');
    return two ? 3 : 0;
  }

  std::size_t word() const {
    const Char first = at(0);
    if (first.kind == CharClass::kNewline || first.kind == CharClass::kNumber) return 0;
    const std::size_t end = run(first.length, [this](CharClass c) { return in_word(c); });
    if (end > first.length || in_word(first.kind)) return end;
    return 0;
  }

  std::size_t number() const {
    const Char first = at(0);
    return first.kind == CharClass::kNumber ? first.length : 0;
  }

  std::size_t punctuation() const {
    const std::size_t start = text_[0] == ' ' ? 1 : 0;
    const std::size_t end = run(start, [this](CharClass c) { return in_punctuation(c); });
    if (end == start) return 0;
    return run(end, [](CharClass c) { return c == CharClass::kNewline; });
  }

  // The last three alternatives, which share the run of white space.
  std::size_t white_space() const {
    std::size_t end = 0, last_start = 0, after_newline = 0;
    while (end < text_.size()) {
      const Char c = at(end);
      if (c.kind != CharClass::kSpace && c.kind != CharClass::kNewline) break;
      last_start = end;
      end += c.length;
      if (c.kind == CharClass::kNewline) after_newline = end;
    }
    if (after_newline > 0) return after_newline;
    const bool leaves_one = end < text_.size() && last_start > 0;  // the last space goes with what follows
    return leaves_one ? last_start : end;
  }

 private:
  static char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

  Char at(std::size_t i) const {
    const auto byte = static_cast<unsigned char>(text_[i]);
    if (byte < 128) return {ascii_classes()[byte], 1};
    const Utf8Char c = decode_utf8(text_.substr(i));
    return {char_class(c.code_point), c.length};
  }

  bool in_word(CharClass c) const {
    return c == CharClass::kLetter || (c == CharClass::kMark && marks_ == MarkRule::kWithLetters);
  }
  bool in_punctuation(CharClass c) const {
    return c == CharClass::kOther || (c == CharClass::kMark && marks_ == MarkRule::kWithPunctuation);
  }

  // The end of the run of characters that starts at i.
  template <typename Predicate>
  std::size_t run(std::size_t i, Predicate in_run) const {
    while (i < text_.size()) {
      const Char c = at(i);
      if (!in_run(c.kind)) break;
      i += c.length;
    }
    return i;
  }

  std::string_view text_;
  MarkRule marks_;
};

}  // namespace

std::size_t scan_piece(std::string_view text, MarkRule marks) {
  const Scanner scanner(text, marks);
  if (const std::size_t n = scanner.contraction()) return n;
  if (const std::size_t n = scanner.word()) return n;
  if (const std::size_t n = scanner.number()) return n;
  if (const std::size_t n = scanner.punctuation()) return n;
  return scanner.white_space();
}

}  // namespace millrace::engine
