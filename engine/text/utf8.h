// UTF-8: decoding, encoding, and repair of streams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::engine {

inline constexpr std::uint32_t kReplacement = 0xFFFD;

struct Utf8Char {
  std::uint32_t code_point = kReplacement;
  std::size_t length = 1;  // bytes taken; for invalid input the maximal part of a sequence, as Unicode recommends
  bool valid = false;
  bool truncated = false;  // not valid, but more bytes could make it so
};

// The character at the start of text, which must not be empty.
Utf8Char decode_utf8(std::string_view text);

void append_utf8(std::uint32_t code_point, std::string& out);

bool is_valid_utf8(std::string_view text);

// Replaces every invalid sequence by U+FFFD.
std::string repair_utf8(std::string_view text);

// The same for a stream: an incomplete character at the end (at most 3 bytes) waits for the next bytes.
class Utf8Repair {
 public:
  std::string push(std::string_view bytes);
  std::string flush();

 private:
  std::string pending_;
};

}  // namespace millrace::engine
