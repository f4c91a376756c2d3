#include "operator/resources/admin_secret.h"

#include <openssl/rand.h>

#include <array>
#include <charconv>

#include "common/base64.h"
#include "common/error.h"
#include "operator/api/labels.h"
#include "operator/resources/secret_value.h"

namespace millrace::controller {
namespace {

std::string unix_seconds(TimePoint time) {
  return std::to_string(std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count());
}

TimePoint from_unix_seconds(const std::string& text) {
  std::int64_t seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return TimePoint(std::chrono::seconds(seconds));
}

// A null takes the key out of a stored Secret.
Json data_of(const AdminToken& token) {
  Json data = {{kTokenKey, common::encode_base64(token.token)}, {kPreviousKey, nullptr}, {kPreviousUntilKey, nullptr}};
  if (!token.previous.empty()) {
    data[kPreviousKey] = common::encode_base64(token.previous);
    data[kPreviousUntilKey] = common::encode_base64(unix_seconds(token.previous_until));
  }
  return data;
}

}  // namespace

std::string random_token() {
  std::array<unsigned char, 32> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    throw common::Error(common::Code::kInternal, "the system's random generator failed");
  }
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string token;
  for (const unsigned char byte : bytes) {
    token += kDigits[byte >> 4];
    token += kDigits[byte & 15];
  }
  return token;
}

AdminToken rotated(const std::string& token, TimePoint now) {
  if (token.empty()) return {random_token()};
  return {random_token(), token, now + kTokenOverlap};
}

kube::Object build_admin_secret(const Parent& parent, const AdminToken& token, const std::string& request) {
  kube::Object secret = new_child(parent, kube::kSecret, admin_secret_name(parent.key));
  if (!request.empty()) secret.json()["metadata"]["annotations"][kRotateAnnotation] = request;
  secret.json()["type"] = "Opaque";
  secret.json()["data"] = Json::object();
  secret.json()["data"].merge_patch(data_of(token));
  return secret;
}

Json admin_secret_patch(const kube::Object& secret, const AdminToken& token, const std::string& request) {
  Json patch = {{"metadata", {{"resourceVersion", secret.resource_version()}}}, {"data", data_of(token)}};
  if (!request.empty()) patch["metadata"]["annotations"][kRotateAnnotation] = request;
  return patch;
}

std::optional<AdminToken> token_of(const kube::Object& secret, TimePoint now) {
  AdminToken token;
  token.token = secret_value(secret, kTokenKey);
  if (token.token.empty()) return std::nullopt;
  token.previous_until = from_unix_seconds(secret_value(secret, kPreviousUntilKey));
  if (now < token.previous_until) token.previous = secret_value(secret, kPreviousKey);
  return token;
}

}  // namespace millrace::controller
