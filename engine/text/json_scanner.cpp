#include "engine/text/json_scanner.h"

#include <string_view>

#include "engine/text/markup.h"
#include "engine/text/python_text.h"

namespace millrace::engine {
namespace {

constexpr std::size_t kMaxOpen = 256;

bool among(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}

}  // namespace

JsonScanner::Step JsonScanner::push(char c) {
  if (state_ == State::kString) return string(c);
  if (state_ == State::kScalar) return scalar(c);
  if (is_markup_space(c)) return Step::kInside;
  switch (state_) {
    case State::kFirstItem:
      return c == ']' ? close(c) : begin_value(c);
    case State::kValue:
      return begin_value(c);
    case State::kFirstKey:
      if (c == '}') return close(c);
      [[fallthrough]];
    case State::kKey:
      if (c != '"') return Step::kInvalid;
      is_key_ = true;
      state_ = State::kString;
      return Step::kKeyBegin;
    case State::kColon:
      state_ = State::kValue;
      return c == ':' ? Step::kInside : Step::kInvalid;
    case State::kAfterValue:
      if (c != ',') return close(c);
      state_ = open_.back() == '{' ? State::kKey : State::kValue;
      return Step::kInside;
    default:
      return Step::kInvalid;  // kDone
  }
}

JsonScanner::Step JsonScanner::begin_value(char c) {
  if (c == '"') {
    is_key_ = false;
    state_ = State::kString;
  } else if (c == '{' || c == '[') {
    if (open_.size() == kMaxOpen) return Step::kInvalid;
    open_ += c;
    state_ = c == '{' ? State::kFirstKey : State::kFirstItem;
  } else if (among(c, "-0123456789tfn")) {
    scalar_ = c;
    state_ = State::kScalar;
  } else {
    return Step::kInvalid;
  }
  return Step::kValueBegin;
}

JsonScanner::Step JsonScanner::close(char c) {
  const bool matches = (c == '}' && open_.back() == '{') || (c == ']' && open_.back() == '[');
  if (!matches) return Step::kInvalid;
  open_.pop_back();
  state_ = after_value();
  return Step::kValueEnd;
}

// A number or literal has ended when something else comes.
JsonScanner::Step JsonScanner::scalar(char c) {
  const bool ends = among(c, ",]} \n\t\r");
  if (!ends) {
    scalar_ += c;
    return among(c, "0123456789+-.eEtrufalsn") ? Step::kInside : Step::kInvalid;
  }
  if (open_.empty() || !is_json(scalar_)) return Step::kInvalid;
  state_ = State::kAfterValue;
  return push(c);
}

JsonScanner::Step JsonScanner::string(char c) {
  if (hex_digits_left_ > 0) return hex_digit(c);
  if (escaped_) {
    escaped_ = false;
    if (c == 'u') {
      hex_digits_left_ = 4;
      code_unit_ = 0;
      return Step::kInside;
    }
    return !wants_low_surrogate_ && among(c, "\"\\/bfnrt") ? Step::kInside : Step::kInvalid;
  }
  escaped_ = c == '\\';
  if (escaped_) return Step::kInside;
  if (wants_low_surrogate_) return Step::kInvalid;
  if (c != '"') return Step::kInside;
  state_ = is_key_ ? State::kColon : after_value();
  return is_key_ ? Step::kKeyEnd : Step::kValueEnd;
}

JsonScanner::Step JsonScanner::hex_digit(char c) {
  const std::size_t digit =
      std::string_view("0123456789abcdef").find(static_cast<char>(c >= 'A' && c <= 'F' ? c + 32 : c));
  if (digit == std::string_view::npos) return Step::kInvalid;
  code_unit_ = code_unit_ * 16 + static_cast<std::uint32_t>(digit);
  if (--hex_digits_left_ > 0) return Step::kInside;
  const bool low = code_unit_ >= 0xDC00 && code_unit_ <= 0xDFFF;
  const bool high = code_unit_ >= 0xD800 && code_unit_ <= 0xDBFF;
  if (low != wants_low_surrogate_) return Step::kInvalid;
  wants_low_surrogate_ = high;
  return Step::kInside;
}

}  // namespace millrace::engine
