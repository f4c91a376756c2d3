#include "engine/text/utf8.h"

namespace millrace::engine {
namespace {

struct Lead {
  int continuations;        // -1: cannot start a character
  std::uint32_t bits;       // payload of the lead byte
  unsigned char low, high;  // range of the second byte; excludes overlong forms, surrogates and values above 10FFFF
};

Lead classify(unsigned char byte) {
  if (byte < 0x80) return {0, byte, 0, 0};
  if (byte < 0xC2) return {-1, 0, 0, 0};
  if (byte < 0xE0) return {1, byte & 0x1Fu, 0x80, 0xBF};
  if (byte < 0xF0) {
    return {2, byte & 0x0Fu, static_cast<unsigned char>(byte == 0xE0 ? 0xA0 : 0x80),
            static_cast<unsigned char>(byte == 0xED ? 0x9F : 0xBF)};
  }
  if (byte < 0xF5) {
    return {3, byte & 0x07u, static_cast<unsigned char>(byte == 0xF0 ? 0x90 : 0x80),
            static_cast<unsigned char>(byte == 0xF4 ? 0x8F : 0xBF)};
  }
  return {-1, 0, 0, 0};
}

}  // namespace

Utf8Char decode_utf8(std::string_view text) {
  const Lead lead = classify(static_cast<unsigned char>(text[0]));
  if (lead.continuations < 0) return {};
  std::uint32_t code_point = lead.bits;
  for (int i = 1; i <= lead.continuations; ++i) {
    const auto taken = static_cast<std::size_t>(i);
    if (taken == text.size()) return {kReplacement, taken, false, true};
    const auto byte = static_cast<unsigned char>(text[taken]);
    const bool fits = i == 1 ? byte >= lead.low && byte <= lead.high : (byte & 0xC0) == 0x80;
    if (!fits) return {kReplacement, taken, false, false};
    code_point = code_point << 6 | (byte & 0x3Fu);
  }
  return {code_point, static_cast<std::size_t>(lead.continuations) + 1, true, false};
}

void append_utf8(std::uint32_t code_point, std::string& out) {
  const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  const auto tail = [&put, code_point](int shift) { put(0x80 | (code_point >> shift & 0x3F)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    tail(0);
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    tail(6);
    tail(0);
  } else {
    put(0xF0 | code_point >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (!c.valid) return false;
    text.remove_prefix(c.length);
  }
  return true;
}

std::string repair_utf8(std::string_view text) {
  Utf8Repair repair;
  std::string out = repair.push(text);
  return out += repair.flush();
}

std::string Utf8Repair::push(std::string_view bytes) {
  std::string joined;
  if (!pending_.empty()) {
    joined = pending_.append(bytes);
    pending_.clear();
    bytes = joined;
  }
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const Utf8Char c = decode_utf8(bytes);
    if (c.truncated) {
      pending_ = bytes;
      break;
    }
    if (c.valid) {
      out.append(bytes.substr(0, c.length));
    } else {
      append_utf8(kReplacement, out);
    }
    bytes.remove_prefix(c.length);
  }
  return out;
}

std::string Utf8Repair::flush() {
  std::string out;
  if (!pending_.empty()) append_utf8(kReplacement, out);
  pending_.clear();
  return out;
}

}  // namespace millrace::engine
