// The Service in front of the leaders. It selects pod 0 of every group; the readiness gate decides which of them get
// requests.
#pragma once

#include "operator/resources/child.h"

namespace millrace::controller {

kube::Object build_service(const Parent& parent);

// "name.namespace.svc": where clients find it, and the name that a certificate of its agents must be for.
std::string service_host(const Parent& parent);
std::string endpoint_url(const Parent& parent);  // "http://name.namespace.svc:8000"

}  // namespace millrace::controller
