#include "engine/text/python_text.h"

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "engine/text/unicode.h"
#include "engine/text/utf8.h"

namespace millrace::engine {
namespace {

using nlohmann::ordered_json;

constexpr int kMaxValueDepth = 256;

void append_json(const ordered_json& value, int depth, std::string& out);

void append_object(const ordered_json& object, int depth, std::string& out) {
  out += '{';
  const char* separator = "";
  for (const auto& [key, value] : object.items()) {
    out += separator;
    out += json_string(key) + ": ";
    append_json(value, depth + 1, out);
    separator = ", ";
  }
  out += '}';
}

void append_array(const ordered_json& array, int depth, std::string& out) {
  out += '[';
  const char* separator = "";
  for (const ordered_json& value : array) {
    out += separator;
    append_json(value, depth + 1, out);
    separator = ", ";
  }
  out += ']';
}

void append_json(const ordered_json& value, int depth, std::string& out) {
  if (depth > kMaxValueDepth) {
    throw common::Error(common::Code::kInvalidArgument,
                        "JSON nested deeper than " + std::to_string(kMaxValueDepth) + " levels");
  }
  switch (value.type()) {
    case ordered_json::value_t::object:
      return append_object(value, depth, out);
    case ordered_json::value_t::array:
      return append_array(value, depth, out);
    case ordered_json::value_t::string:
      out += json_string(value.get_ref<const std::string&>());
      return;
    case ordered_json::value_t::number_float:
      out += python_float(value.get<double>());
      return;
    default:
      out += value.dump();  // integers, true, false, null
  }
}

bool is_python_space(std::uint32_t code_point) {
  const CharClass c = char_class(code_point);
  return c == CharClass::kSpace || c == CharClass::kNewline || (code_point >= 0x1C && code_point <= 0x1F);
}

// The start of the last character of non-empty text.
std::size_t last_char(std::string_view text) {
  std::size_t i = text.size() - 1;
  while (i > 0 && text.size() - i < 4 && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) --i;
  return i;
}

}  // namespace

std::string python_json(const ordered_json& value) {
  std::string out;
  append_json(value, 0, out);
  return out;
}

std::string python_str(const ordered_json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "None";
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  return python_json(value);
}

std::string python_float(double value) {
  char buffer[64];
  const auto scientific = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific);
  const std::string_view digits(buffer, static_cast<std::size_t>(scientific.ptr - buffer));
  const std::size_t e = digits.find('e');
  const int exponent = e == std::string_view::npos ? 0 : std::atoi(std::string(digits.substr(e + 1)).c_str());
  if (exponent < -4 || exponent >= 16) return std::string(digits);
  const auto fixed = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed);
  std::string out(buffer, fixed.ptr);
  if (out.find('.') == std::string::npos) out += ".0";
  return out;
}

void append_json_escaped(std::string_view text, std::string& out) {
  constexpr char kHex[] = "0123456789abcdef";
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          out += kHex[c >> 4];
          out += kHex[c & 15];
        } else {
          out += c;
        }
    }
  }
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  append_json_escaped(text, out);
  return out += '"';
}

bool is_json(std::string_view text) {
  return text.find('\0') == std::string_view::npos && nlohmann::json::accept(text);
}

std::string_view python_strip(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (!c.valid || !is_python_space(c.code_point)) break;
    text.remove_prefix(c.length);
  }
  while (!text.empty()) {
    const std::size_t i = last_char(text);
    const Utf8Char c = decode_utf8(text.substr(i));
    if (!c.valid || i + c.length != text.size() || !is_python_space(c.code_point)) break;
    text.remove_suffix(c.length);
  }
  return text;
}

}  // namespace millrace::engine
