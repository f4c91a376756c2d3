#include "engine/text/byte_alphabet.h"

#include <array>

#include "engine/text/utf8.h"

namespace millrace::engine {
namespace {

struct Alphabet {
  std::array<std::uint32_t, 256> symbols{};
  std::array<std::int16_t, 0x200> bytes{};  // by symbol; -1 for none
};

const Alphabet& alphabet() {
  static const Alphabet table = [] {
    Alphabet a;
    a.bytes.fill(-1);
    std::uint32_t next = 0x100;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      const std::uint32_t symbol = printable ? byte : next++;
      a.symbols[byte] = symbol;
      a.bytes[symbol] = static_cast<std::int16_t>(byte);
    }
    return a;
  }();
  return table;
}

}  // namespace

std::uint32_t byte_symbol(unsigned char byte) {
  return alphabet().symbols[byte];
}

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  const auto& bytes = alphabet().bytes;
  std::string out;
  out.reserve(spelling.size());
  while (!spelling.empty()) {
    const Utf8Char c = decode_utf8(spelling);
    if (!c.valid || c.code_point >= bytes.size() || bytes[c.code_point] < 0) return std::nullopt;
    out.push_back(static_cast<char>(bytes[c.code_point]));
    spelling.remove_prefix(c.length);
  }
  return out;
}

}  // namespace millrace::engine
