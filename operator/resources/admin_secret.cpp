#include "operator/resources/admin_secret.h"

#include <openssl/rand.h>

#include <array>

#include "common/base64.h"
#include "common/error.h"

namespace millrace::controller {
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

kube::Object build_admin_secret(const Parent& parent, const std::string& token) {
  kube::Object secret = new_child(parent, kube::kSecret, admin_secret_name(parent.key));
  secret.json()["type"] = "Opaque";
  secret.json()["data"] = {{kTokenKey, common::encode_base64(token)}};
  return secret;
}

std::optional<std::string> token_of(const kube::Object& secret) {
  const std::string encoded = secret.string_at(std::string("/data/") + kTokenKey);
  if (encoded.empty()) return std::nullopt;
  return common::decode_base64(encoded);
}

}  // namespace millrace::controller
