#include "engine/text/markup.h"

#include <algorithm>

namespace millrace::engine {

bool is_markup_space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

std::size_t count_markup_space(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_markup_space) - text.begin());
}

MarkupMatch match_literal(std::string_view text, std::string_view literal) {
  if (text.starts_with(literal)) return {MarkupMatch::Verdict::kYes, literal.size()};
  if (literal.starts_with(text)) return {MarkupMatch::Verdict::kMaybe, 0};
  return {};
}

MarkupMatch match_spaced(std::string_view text, std::string_view first, std::string_view second) {
  const MarkupMatch start = match_literal(text, first);
  if (!start.yes()) return start;
  text.remove_prefix(start.length);
  const std::size_t gap = count_markup_space(text.substr(0, kMaxMarkupGap + 1));
  if (gap > kMaxMarkupGap) return {};
  MarkupMatch end = match_literal(text.substr(gap), second);
  if (end.yes()) end.length += start.length + gap;
  return end;
}

}  // namespace millrace::engine
