// The Secret that holds the endpoint's API keys: the user's, so it may be missing.
#pragma once

#include <string>

#include "operator/kube/client.h"
#include "operator/resources/child.h"

namespace millrace::controller {

// What a person has to do about the Secret that spec.endpoint.auth.apiKeySecretRef names; empty when it is there, or
// none is asked for. One read of the Secret; its values are not looked at.
std::string api_key_problem(kube::Client& client, const Parent& parent);

}  // namespace millrace::controller
