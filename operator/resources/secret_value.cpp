#include "operator/resources/secret_value.h"

#include "common/base64.h"

namespace millrace::controller {

std::string secret_value(const kube::Object& secret, const char* key) {
  return common::decode_base64(secret.string_at(std::string("/data/") + key)).value_or("");
}

}  // namespace millrace::controller
