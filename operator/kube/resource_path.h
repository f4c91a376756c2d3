// The addresses of the Kubernetes API.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "operator/kube/object.h"

namespace millrace::controller::kube {

// "/api/v1/namespaces/default/pods/a/status"; name and subresource may be empty. Every part is percent-encoded.
std::string resource_path(const ResourceKind& kind, const std::string& ns, const std::string& name = "",
                          const std::string& subresource = "");

// "?a=b&c=d%20e", or "" without parameters; parameters with an empty value are left out.
std::string query(const std::vector<std::pair<std::string, std::string>>& parameters);

}  // namespace millrace::controller::kube
