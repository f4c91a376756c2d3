#include "common/access_token.h"

#include <gtest/gtest.h>

#include "common/error.h"
#include "tests/support/fault.h"
#include "tests/support/mounted_secret.h"

namespace millrace::common {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

bool accepts(const AccessToken& token, const std::string& shown) {
  HttpRequest request;
  request.headers = {{"Authorization", "Bearer " + shown}};
  return token.accepts(request);
}

std::string unix_seconds(std::chrono::hours from_now) {
  const auto time = system_clock::now() + from_now;
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count());
}

TEST(AccessToken, AFixedOneIsAcceptedAndNoOther) {
  const AccessToken token = "s3cret";
  EXPECT_TRUE(accepts(token, "s3cret"));
  EXPECT_FALSE(accepts(token, "s3cre"));
  EXPECT_EQ(token.oldest(), "s3cret");
}

TEST(AccessToken, AReplacedFileIsReadAgainByAllCopies) {
  test::MountedSecret secret;
  secret.replace({{"token", "old\n"}});
  const AccessToken token = AccessToken::from_file(secret.file("token"), milliseconds(0));
  const AccessToken copy = token;  // NOLINT(performance-unnecessary-copy-initialization): the copy is the point
  secret.replace({{"token", "new"}});
  EXPECT_TRUE(accepts(token, "new"));
  EXPECT_FALSE(accepts(token, "old"));
  EXPECT_TRUE(accepts(copy, "new"));
}

TEST(AccessToken, TheOneBeforeIsAcceptedUntilItIsGone) {
  test::MountedSecret secret;
  secret.replace({{"token", "old"}});
  const AccessToken token = AccessToken::from_file(secret.file("token"), milliseconds(0));
  secret.replace({{"token", "new"}, {"previous", "old"}});
  EXPECT_TRUE(accepts(token, "new"));
  EXPECT_TRUE(accepts(token, "old"));
  EXPECT_EQ(token.oldest(), "old");
  secret.replace({{"token", "new"}});
  EXPECT_TRUE(accepts(token, "new"));
  EXPECT_FALSE(accepts(token, "old"));
  EXPECT_EQ(token.oldest(), "new");
}

TEST(AccessToken, TheOneBeforeIsAcceptedUntilItsTimeIsOver) {
  test::MountedSecret secret;
  secret.replace({{"token", "new"}, {"previous", "old"}, {"previous-until", unix_seconds(std::chrono::hours(1))}});
  const AccessToken token = AccessToken::from_file(secret.file("token"), milliseconds(0));
  EXPECT_TRUE(accepts(token, "old"));
  for (const std::string& over : {unix_seconds(std::chrono::hours(-1)), std::string("soon")}) {
    secret.replace({{"token", "new"}, {"previous", "old"}, {"previous-until", over}});
    EXPECT_FALSE(accepts(token, "old")) << over;
    EXPECT_TRUE(accepts(token, "new")) << over;
  }
}

TEST(AccessToken, EveryLineOfAFileIsOne) {
  test::MountedSecret secret;
  secret.replace({{"key", "first\n\n  second \r\n"}});
  const AccessToken token = AccessToken::from_file(secret.file("key"), milliseconds(0));
  EXPECT_TRUE(accepts(token, "first"));
  EXPECT_TRUE(accepts(token, "second"));
  EXPECT_FALSE(accepts(token, ""));
  EXPECT_FALSE(accepts(token, "first\n\n  second"));
}

TEST(AccessToken, AFileThatBecomesEmptyOrGoesChangesNothing) {
  test::MountedSecret secret;
  secret.replace({{"token", "old"}});
  const AccessToken token = AccessToken::from_file(secret.file("token"), milliseconds(0));
  secret.replace({{"token", ""}});
  EXPECT_TRUE(accepts(token, "old"));
  EXPECT_FALSE(accepts(token, ""));
  secret.replace({});
  EXPECT_TRUE(accepts(token, "old"));
  secret.replace({{"token", "new"}});
  EXPECT_TRUE(accepts(token, "new"));
}

TEST(AccessToken, DoesNotLookMoreOftenThanItIsTold) {
  test::MountedSecret secret;
  secret.replace({{"token", "old"}});
  const AccessToken token = AccessToken::from_file(secret.file("token"), std::chrono::hours(1));
  secret.replace({{"token", "new"}});
  EXPECT_TRUE(accepts(token, "old"));
  EXPECT_FALSE(accepts(token, "new"));
}

TEST(AccessToken, AFileThatIsNotThereIsRefused) {
  EXPECT_EQ(test::fault_of([] { AccessToken::from_file("/nowhere/token"); }).code, Code::kNotFound);
}

}  // namespace
}  // namespace millrace::common
