#include "operator/api/base64.h"

#include <gtest/gtest.h>

namespace millrace::controller {
namespace {

TEST(Base64, ReadsWhatItWrites) {
  for (const std::string& text : {std::string(), std::string("a"), std::string("ab"), std::string("abc\0d", 5)}) {
    EXPECT_EQ(decode_base64(encode_base64(text)), text);
  }
  EXPECT_EQ(encode_base64("hello"), "aGVsbG8=");
}

TEST(Base64, RefusesOtherText) {
  EXPECT_FALSE(decode_base64("a"));
  EXPECT_FALSE(decode_base64("&&&&"));
}

}  // namespace
}  // namespace millrace::controller
