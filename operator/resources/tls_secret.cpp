#include "operator/resources/tls_secret.h"

#include "operator/resources/secret_value.h"

namespace millrace::controller {
std::string trusted_certificates(const kube::Object& secret) {
  std::string pem;
  for (const char* key : {kTlsAuthorityKey, kTlsCertificateKey}) {
    const std::string part = secret_value(secret, key);
    if (!part.empty()) pem += part + "\n";
  }
  return pem;
}

std::string tls_secret_problem(const std::optional<kube::Object>& secret, const kube::ObjectKey& key) {
  const std::string what = "Secret " + key.name + ", which spec.tls.secretName names, ";
  if (!secret) {
    return what + "does not exist: create it, for example with kubectl create secret tls " + key.name + " -n " +
           key.ns + " --cert=tls.crt --key=tls.key";
  }
  for (const char* part : {kTlsCertificateKey, kTlsPrivateKeyKey}) {
    if (secret_value(*secret, part).find("-----BEGIN ") != std::string::npos) continue;
    return what + "has nothing in PEM under the key " + part + ": it must be of type kubernetes.io/tls";
  }
  return "";
}

}  // namespace millrace::controller
