// Text in which every byte is either the template's own (trusted) or somebody's input.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer.h"

namespace millrace::engine {

class PromptText {
 public:
  void append(std::string_view text, bool trusted);
  void append(const PromptText& other);

  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }

  // The bytes [begin, end) with their trust.
  PromptText slice(std::size_t begin, std::size_t end) const;
  // A part of text() (a view into it) with its trust.
  PromptText slice(std::string_view part) const;

  std::vector<TextSegment> segments() const;

 private:
  struct Run {
    std::size_t end;  // starts where the previous one ends
    bool trusted;
  };
  std::string text_;
  std::vector<Run> runs_;
};

}  // namespace millrace::engine
