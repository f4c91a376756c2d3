// The printable alphabet in which byte-level vocabularies spell bytes: printable Latin-1 bytes stand for themselves,
// the other 68, in increasing order, for U+0100 upward.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::engine {

std::uint32_t byte_symbol(unsigned char byte);

// The bytes a vocabulary entry spells; empty optional if it has a character outside the alphabet.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);

}  // namespace millrace::engine
