#include "common/base64.h"

#include <array>
#include <cstdint>

namespace millrace::common {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNone = 64;

constexpr std::array<std::uint8_t, 256> make_values() {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNone);
  for (std::uint8_t i = 0; i < 64; ++i) values[static_cast<unsigned char>(kAlphabet[i])] = i;
  return values;
}

constexpr std::array<std::uint8_t, 256> kValues = make_values();

}  // namespace

std::string encode_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = (group << 8) | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) out += i + j > bytes.size() ? '=' : kAlphabet[(group >> (18 - 6 * j)) & 63];
  }
  return out;
}

std::optional<std::string> decode_base64(std::string_view text) {
  std::string out;
  unsigned group = 0;
  int characters = 0;  // letters and padding in the group so far
  int padding = 0;
  for (const char c : text) {
    if (c == '\r' || c == '\n') continue;
    const std::uint8_t value = kValues[static_cast<unsigned char>(c)];
    const bool pads = c == '=' && characters >= 2;
    if (!pads && (value == kNone || padding > 0)) return std::nullopt;  // after padding comes nothing
    group = (group << 6) | (pads ? 0U : value);
    padding += pads ? 1 : 0;
    if (++characters < 4) continue;
    for (int byte = 0; byte < 3 - padding; ++byte) out += static_cast<char>((group >> (16 - 8 * byte)) & 0xFF);
    group = 0;
    characters = 0;
  }
  if (characters != 0) return std::nullopt;
  return out;
}

}  // namespace millrace::common
