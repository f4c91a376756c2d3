// Cuts normalised text into the pieces that byte-pair merging never crosses (the Split step of tokenizer.json).
//
// The family's two patterns have a hand-written scanner; any other pattern goes through PCRE2. Matches and the gaps
// between them are pieces ("Isolated"), so the pieces always add up to the text. Const methods are thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace millrace::engine {

// Letters with their combining marks form words (Qwen3.5), or marks count as punctuation (Qwen2, Qwen3).
enum class MarkRule { kWithLetters, kWithPunctuation };

// The length of the first piece of valid UTF-8, which must not be empty.
std::size_t scan_piece(std::string_view text, MarkRule marks);

class Splitter {
 public:
  using Sink = std::function<void(std::string_view piece)>;

  // Throws kInvalidArgument if the pattern is not a regular expression PCRE2 accepts.
  explicit Splitter(const std::string& pattern);
  // For comparison: PCRE2 even when there is a scanner.
  static Splitter with_pcre(const std::string& pattern);
  ~Splitter();
  Splitter(Splitter&&) noexcept;
  Splitter& operator=(Splitter&&) noexcept;

  // text is valid UTF-8. Throws kInvalidArgument if matching hits PCRE2's limits.
  void split(std::string_view text, const Sink& sink) const;

  static const char* const kQwen35Pattern;
  static const char* const kQwen2Pattern;
  static const char* const kGpt2Pattern;  // what ByteLevel uses with use_regex

 private:
  struct Regex;
  Splitter();
  void split_regex(std::string_view text, const Sink& sink) const;

  MarkRule marks_ = MarkRule::kWithLetters;
  std::unique_ptr<const Regex> regex_;  // null: the scanner
};

}  // namespace millrace::engine
