#include "engine/text/prompt_text.h"

#include <algorithm>

namespace millrace::engine {

void PromptText::append(std::string_view text, bool trusted) {
  if (text.empty()) return;
  text_ += text;
  if (!runs_.empty() && runs_.back().trusted == trusted) {
    runs_.back().end = text_.size();
  } else {
    runs_.push_back({text_.size(), trusted});
  }
}

void PromptText::append(const PromptText& other) {
  std::size_t begin = 0;
  for (const Run& run : other.runs_) {
    append(std::string_view(other.text_).substr(begin, run.end - begin), run.trusted);
    begin = run.end;
  }
}

PromptText PromptText::slice(std::size_t begin, std::size_t end) const {
  PromptText out;
  std::size_t run_begin = 0;
  for (const Run& run : runs_) {
    const std::size_t from = std::max(begin, run_begin), to = std::min(end, run.end);
    if (from < to) out.append(std::string_view(text_).substr(from, to - from), run.trusted);
    run_begin = run.end;
  }
  return out;
}

PromptText PromptText::slice(std::string_view part) const {
  const auto begin = static_cast<std::size_t>(part.data() - text_.data());
  return slice(begin, begin + part.size());
}

std::vector<TextSegment> PromptText::segments() const {
  std::vector<TextSegment> out;
  std::size_t begin = 0;
  for (const Run& run : runs_) {
    out.push_back({text_.substr(begin, run.end - begin), run.trusted});
    begin = run.end;
  }
  return out;
}

}  // namespace millrace::engine
