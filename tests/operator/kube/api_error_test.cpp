#include "operator/kube/api_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::controller::kube {
namespace {

using common::Code;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

TEST(ApiErrorCodes, FollowStatusAndReason) {
  const struct {
    int status;
    const char* reason;
    Code code;
  } rows[] = {
      {400, "BadRequest", Code::kInvalidArgument},
      {401, "Unauthorized", Code::kUnauthenticated},
      {403, "Forbidden", Code::kPermissionDenied},
      {404, "NotFound", Code::kNotFound},
      {405, "MethodNotAllowed", Code::kUnimplemented},
      {409, "AlreadyExists", Code::kAlreadyExists},
      {409, "Conflict", Code::kConflict},
      {410, "Expired", Code::kGone},
      {415, "UnsupportedMediaType", Code::kUnimplemented},
      {422, "Invalid", Code::kInvalidArgument},
      {429, "TooManyRequests", Code::kResourceExhausted},
      {500, "InternalError", Code::kUnavailable},
      {503, "ServiceUnavailable", Code::kUnavailable},
      {504, "Timeout", Code::kUnavailable},
      {302, "", Code::kUnavailable},
  };
  for (const auto& row : rows) EXPECT_EQ(code_for(row.status, row.reason), row.code) << row.status << row.reason;
}

TEST(ApiErrorFromResponse, SaysWhatWasTriedAndWhatTheServerSaid) {
  const ApiError error = error_from_response(
      409, R"({"kind":"Status","message":"pods \"a\" already exists","reason":"AlreadyExists","code":409})", "",
      "create pods default/a");
  EXPECT_EQ(error.code(), Code::kAlreadyExists);
  EXPECT_EQ(error.status(), 409);
  EXPECT_EQ(error.reason(), "AlreadyExists");
  EXPECT_STREQ(error.what(), "create pods default/a: 409 pods \"a\" already exists");
}

TEST(ApiErrorFromResponse, QuotesTheStartOfAnAnswerThatIsNoStatus) {
  const ApiError error = error_from_response(502, "<html>\n" + std::string(5000, 'x'), "", "get pods");
  EXPECT_THAT(error.what(), HasSubstr("get pods: 502 <html> xxx"));
  EXPECT_LT(std::string(error.what()).size(), 300U);
}

TEST(ApiErrorFromResponse, PrefersTheHeaderOverTheBodyForThePause) {
  const std::string body =
      R"({"kind":"Status","message":"m","reason":"TooManyRequests","details":{"retryAfterSeconds":3}})";
  EXPECT_EQ(error_from_response(429, body, "9", "x").retry_after(), 9s);
  EXPECT_EQ(error_from_response(429, body, "", "x").retry_after(), 3s);
}

TEST(ApiErrorFromStatus, TreatsOddStatusesAsAnInternalError) {
  for (const char* text : {"null", "{}", "[]", R"({"code":"x"})", R"({"code":-4})", R"({"code":99999999999})"}) {
    const ApiError error = error_from_status(nlohmann::json::parse(text), 0, std::nullopt, "watch");
    EXPECT_EQ(error.code(), Code::kUnavailable) << text;
    EXPECT_EQ(error.status(), 500) << text;
  }
}

TEST(ApiErrorFromStatus, KnowsExpiryByItsReasonToo) {
  EXPECT_EQ(error_from_status({{"reason", "Expired"}}, 0, std::nullopt, "watch").code(), Code::kGone);
}

TEST(RetryAfter, IsSecondsOrNothing) {
  EXPECT_EQ(parse_retry_after("2"), 2s);
  EXPECT_EQ(parse_retry_after("0"), 0s);
  EXPECT_EQ(parse_retry_after("999999999"), 3600s);
  for (const char* bad : {"", "-1", "2s", "Wed, 21 Oct 2026 07:28:00 GMT", "99999999999999999999"}) {
    EXPECT_FALSE(parse_retry_after(bad)) << bad;
  }
}

}  // namespace
}  // namespace millrace::controller::kube
