#include "operator/reconcile/api_key.h"

namespace millrace::controller {
namespace {

std::string names_of_keys(const kube::Object& secret) {
  std::string names;
  for (const auto& item : secret.at("/data").items()) names += (names.empty() ? "" : ", ") + item.key();
  return names.empty() ? "none" : names;
}

}  // namespace

std::string api_key_problem(kube::Client& client, const Parent& parent) {
  const auto& wanted = parent.spec.endpoint.api_key;
  if (!wanted) return "";
  const std::string what = "Secret " + wanted->name + ", which spec.endpoint.auth.apiKeySecretRef names, ";
  const auto secret = client.get(kube::kSecret, {parent.key.ns, wanted->name});
  if (!secret) {
    return what + "does not exist: create it, for example with kubectl create secret generic " + wanted->name + " -n " +
           parent.key.ns + " --from-literal=" + wanted->key + "=<key>";
  }
  if (secret->at("/data").contains(wanted->key)) return "";
  return what + "has no key \"" + wanted->key + "\" (it has: " + names_of_keys(*secret) +
         "): add it, or correct spec.endpoint.auth.apiKeySecretRef.key";
}

}  // namespace millrace::controller
