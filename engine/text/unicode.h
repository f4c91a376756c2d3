// Unicode character classes of split patterns, and normalisation form C.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::engine {

enum class CharClass : std::uint8_t { kLetter, kMark, kNumber, kSpace, kNewline, kOther };

// kSpace is White_Space without CR and LF, which are kNewline.
CharClass char_class(std::uint32_t code_point);

// NFC of valid UTF-8. O(n log n) whatever the order of the combining marks.
std::string to_nfc(std::string_view text);

}  // namespace millrace::engine
