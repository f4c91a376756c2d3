// Recognises markup at the start of text that is still growing: it is there, it is not, or more text must decide.
#pragma once

#include <cstddef>
#include <string_view>

namespace millrace::engine {

struct MarkupMatch {
  enum class Verdict { kNo, kMaybe, kYes };
  Verdict verdict = Verdict::kNo;
  std::size_t length = 0;  // for kYes: of the match

  bool yes() const { return verdict == Verdict::kYes; }
  bool maybe() const { return verdict == Verdict::kMaybe; }
};

// More white space than this between two tags is not markup, so that what is held back stays small.
inline constexpr std::size_t kMaxMarkupGap = 256;

bool is_markup_space(char c);
std::size_t count_markup_space(std::string_view text);  // at the start

MarkupMatch match_literal(std::string_view text, std::string_view literal);
// first, white space, second.
MarkupMatch match_spaced(std::string_view text, std::string_view first, std::string_view second);

}  // namespace millrace::engine
