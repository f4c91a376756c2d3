#include "engine/text/python_literal.h"

#include <nlohmann/json.hpp>

#include "engine/text/markup.h"
#include "engine/text/python_text.h"
#include "engine/text/utf8.h"

namespace millrace::engine {
namespace {

constexpr int kMaxLiteralDepth = 128;

// Recursive descent; every function returns false when the text does not fit, and appends JSON to out_ otherwise.
class LiteralReader {
 public:
  explicit LiteralReader(std::string_view text) : text_(text) {}

  std::optional<std::string> read() {
    skip_space();
    if (!value(0)) return std::nullopt;
    skip_space();
    if (!text_.empty()) return std::nullopt;
    return out_;
  }

 private:
  void skip_space() { text_.remove_prefix(count_markup_space(text_)); }

  bool take(char c) {
    skip_space();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }

  bool value(int depth) {
    if (depth > kMaxLiteralDepth || text_.empty()) return false;
    switch (text_[0]) {
      case '{':
        return dict(depth);
      case '[':
        return sequence(']', depth);
      case '(':
        return sequence(')', depth);
      case '\'':
      case '"':
        return string();
      default:
        return word("True", "true") || word("False", "false") || word("None", "null") || number();
    }
  }

  bool word(std::string_view python, std::string_view json) {
    if (!text_.starts_with(python)) return false;
    text_.remove_prefix(python.size());
    out_ += json;
    return true;
  }

  bool sequence(char close, int depth) {
    text_.remove_prefix(1);
    out_ += '[';
    for (const char* separator = ""; !take(close); separator = ", ") {
      if (*separator && !take(',')) return false;
      if (take(close)) break;  // a trailing comma
      out_ += separator;
      if (!value(depth + 1)) return false;
    }
    out_ += ']';
    return true;
  }

  bool dict(int depth) {
    text_.remove_prefix(1);
    out_ += '{';
    for (const char* separator = ""; !take('}'); separator = ", ") {
      if (*separator && !take(',')) return false;
      if (take('}')) break;
      out_ += separator;
      if (!key() || !take(':')) return false;
      out_ += ": ";
      skip_space();
      if (!value(depth + 1)) return false;
    }
    out_ += '}';
    return true;
  }

  // JSON has only string keys; numbers are quoted, as json.dumps does.
  bool key() {
    if (text_.starts_with('\'') || text_.starts_with('"')) return string();
    out_ += '"';
    if (!number()) return false;
    out_ += '"';
    return true;
  }

  bool number() {
    std::string digits(text_.substr(0, text_.find_first_not_of("+-0123456789.eE")));
    if (digits.starts_with('+')) digits.erase(0, 1);
    const nlohmann::json parsed = nlohmann::json::parse(digits, nullptr, false);
    if (!parsed.is_number()) return false;
    text_.remove_prefix(std::min(text_.find_first_not_of("+-0123456789.eE"), text_.size()));
    out_ += digits;
    return true;
  }

  bool string() {
    const char quote = text_[0];
    text_.remove_prefix(1);
    std::string content;
    while (!text_.empty() && text_[0] != quote) {
      if (text_[0] == '\n') return false;
      if (text_[0] == '\\') {
        if (!escape(content)) return false;
        continue;
      }
      content += text_[0];
      text_.remove_prefix(1);
    }
    if (text_.empty()) return false;
    text_.remove_prefix(1);
    out_ += json_string(content);
    return true;
  }

  bool escape(std::string& content) {
    if (text_.size() < 2) return false;
    const char c = text_[1];
    text_.remove_prefix(2);
    constexpr std::string_view kFrom = "nrtbfav0", kTo = std::string_view("\n\r\t\b\f\a\v\0", 8);
    if (c == 'x') return hex(2, content);
    if (c == 'u') return hex(4, content);
    if (c == 'U') return hex(8, content);
    if (const std::size_t i = kFrom.find(c); i != std::string_view::npos) {
      content += kTo[i];
    } else if (c == '\\' || c == '\'' || c == '"') {
      content += c;
    } else if (c != '\n') {  // an escaped line end joins two lines; unknown escapes stay as they are
      content += '\\';
      content += c;
    }
    return true;
  }

  bool hex(std::size_t count, std::string& content) {
    if (text_.size() < count) return false;
    std::uint32_t code_point = 0;
    for (const char c : text_.substr(0, count)) {
      const std::size_t digit = std::string_view("0123456789abcdefABCDEF").find(c);
      if (digit == std::string_view::npos) return false;
      code_point = code_point << 4 | static_cast<std::uint32_t>(digit < 16 ? digit : digit - 6);
    }
    if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) return false;
    append_utf8(code_point, content);
    text_.remove_prefix(count);
    return true;
  }

  std::string_view text_;
  std::string out_;
};

}  // namespace

std::optional<std::string> python_literal_to_json(std::string_view text) {
  return LiteralReader(text).read();
}

}  // namespace millrace::engine
