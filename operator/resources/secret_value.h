// What a Secret holds.
#pragma once

#include <string>

#include "operator/kube/object.h"

namespace millrace::controller {

// Under `key` of `data`, decoded; empty when it is absent or no base64.
std::string secret_value(const kube::Object& secret, const char* key);

}  // namespace millrace::controller
