#include "common/secret.h"

#include <gtest/gtest.h>

#include <fstream>

#include "common/error.h"

namespace millrace::common {
namespace {

HttpRequest with_authorization(const std::string& value) {
  HttpRequest request;
  request.headers = {{"AUTHORIZATION", value}};
  return request;
}

TEST(Secret, ComparesWholeTokens) {
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_in_constant_time("abc", "abcabc"));
  EXPECT_FALSE(equal_in_constant_time("abcabc", "abc"));
  EXPECT_FALSE(equal_in_constant_time("", "abc"));
  EXPECT_FALSE(equal_in_constant_time("abc", ""));
}

TEST(Secret, BearerSchemeIsReadWithoutCase) {
  EXPECT_TRUE(has_bearer_token(with_authorization("Bearer t"), "t"));
  EXPECT_TRUE(has_bearer_token(with_authorization("bearer t"), "t"));
  EXPECT_FALSE(has_bearer_token(with_authorization("Bearer T"), "t"));
  EXPECT_FALSE(has_bearer_token(with_authorization("Basic t"), "t"));
  EXPECT_FALSE(has_bearer_token(with_authorization("Bearer"), ""));
  EXPECT_FALSE(has_bearer_token(HttpRequest{}, "t"));
}

TEST(Secret, FileIsTrimmedAndMustNotBeEmpty) {
  const auto path = std::filesystem::path(testing::TempDir()) / "millrace_secret_test";
  std::ofstream(path) << " s3cret\n";
  EXPECT_EQ(read_secret_file(path), "s3cret");
  std::ofstream(path) << "\n";
  EXPECT_THROW(read_secret_file(path), Error);
  std::filesystem::remove(path);
  EXPECT_THROW(read_secret_file(path), Error);
}

}  // namespace
}  // namespace millrace::common
