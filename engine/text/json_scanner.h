// Checks JSON text byte by byte, as it comes, and says where keys and values begin and end. One thing is let pass that
// JSON forbids: control characters inside strings, which models write; the caller escapes them.
#pragma once

#include <cstdint>
#include <string>

namespace millrace::engine {

class JsonScanner {
 public:
  enum class Step {
    kInvalid,     // the text with this byte is not the beginning of JSON; nothing may follow
    kInside,      //
    kKeyBegin,    // the opening quote
    kKeyEnd,      // the closing quote
    kValueBegin,  // the first byte of any value
    kValueEnd,    // the last byte of a string, object or array
  };
  Step push(char c);

  int depth() const { return static_cast<int>(open_.size()); }  // open objects and arrays
  bool in_string() const { return state_ == State::kString; }
  bool complete() const { return state_ == State::kDone; }

 private:
  enum class State { kValue, kFirstItem, kFirstKey, kKey, kColon, kAfterValue, kString, kScalar, kDone };

  Step begin_value(char c);
  Step close(char c);
  Step scalar(char c);
  Step string(char c);
  Step hex_digit(char c);
  State after_value() const { return open_.empty() ? State::kDone : State::kAfterValue; }

  State state_ = State::kValue;
  std::string open_;    // '{' and '['
  std::string scalar_;  // number or literal so far
  bool is_key_ = false, escaped_ = false;
  bool wants_low_surrogate_ = false;
  int hex_digits_left_ = 0;
  std::uint32_t code_unit_ = 0;
};

}  // namespace millrace::engine
