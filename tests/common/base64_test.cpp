#include "common/base64.h"

#include <gtest/gtest.h>

namespace millrace::common {
namespace {

TEST(Base64, WritesTheVectorsOfTheRfc) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(encode_base64(bytes), text);
    EXPECT_EQ(decode_base64(text), bytes);
  }
}

TEST(Base64, ReadsBackEveryByte) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  for (std::size_t size = 253; size <= bytes.size(); ++size) {
    EXPECT_EQ(decode_base64(encode_base64(bytes.substr(0, size))), bytes.substr(0, size));
  }
}

TEST(Base64, SkipsLineEndsAnywhere) {
  EXPECT_EQ(decode_base64("Zm\r\n9v\nYg=\n=\r\n"), "foob");
  EXPECT_EQ(decode_base64("\n"), "");
}

TEST(Base64, IgnoresUnusedBits) {
  EXPECT_EQ(decode_base64("Zh=="), "f");
}

TEST(Base64, RefusesOtherText) {
  for (const char* text : {"Z", "Zg", "Zg=", "Zm8", "Zg==Zg==", "Zg===", "=", "====", "Z===", "Zg=v",
                           "Zm9v Zg==", " Zg==", "Zg==\t", "Zm-_", "&&&&", "Zm9v=", "\xC3\xA9Zg"}) {
    EXPECT_FALSE(decode_base64(text)) << text;
  }
  EXPECT_FALSE(decode_base64(std::string_view("Zg\0=", 4)));
}

}  // namespace
}  // namespace millrace::common
