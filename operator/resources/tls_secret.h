// The Secret with the certificate of a deployment's agents: somebody else's, of type kubernetes.io/tls.
#pragma once

#include <optional>
#include <string>

#include "operator/resources/child.h"

namespace millrace::controller {

// Keys of the Secret.
inline constexpr const char* kTlsCertificateKey = "tls.crt";
inline constexpr const char* kTlsPrivateKeyKey = "tls.key";
inline constexpr const char* kTlsAuthorityKey = "ca.crt";  // may be left out

// Whom those who call the agents may trust, in PEM: the authority, and the certificate itself. Empty: neither is there.
std::string trusted_certificates(const kube::Object& secret);

// What a person has to do about the Secret; empty when it will do.
std::string tls_secret_problem(const std::optional<kube::Object>& secret, const kube::ObjectKey& key);

}  // namespace millrace::controller
