#include "operator/reconcile/tls_trust.h"

#include <set>
#include <utility>

#include "common/error.h"
#include "operator/resources/service.h"
#include "operator/resources/tls_secret.h"

namespace millrace::controller {

TlsTrust::Look TlsTrust::look(const Parent& parent, const Observed& observed) {
  const std::string asked = parent.spec.tls ? parent.spec.tls->secret_name : "";
  std::set<std::string> names{asked};
  for (const GroupView& group : observed.groups) {
    for (const PodView& pod : group.pods) names.insert(pod.tls_secret);
  }
  names.erase("");
  Look look;
  if (names.empty()) return look;
  Secrets known;
  {
    const std::lock_guard lock(mutex_);
    known = known_[parent.key];
  }
  for (const std::string& name : names) {
    const kube::ObjectKey key{parent.key.ns, name};
    const std::optional<kube::Object> secret = client_.get(kube::kSecret, key);
    if (name == asked) look.problem = tls_secret_problem(secret, key);
    learn(known[name], secret ? trusted_certificates(*secret) : "", service_host(parent));
    look.clients[name] = known[name].client;
  }
  std::erase_if(known, [&](const auto& item) { return !names.contains(item.first); });
  const std::lock_guard lock(mutex_);
  known_[parent.key] = std::move(known);
  return look;
}

void TlsTrust::forget(const kube::ObjectKey& deployment) {
  const std::lock_guard lock(mutex_);
  known_.erase(deployment);
}

// A Secret that is gone or unusable takes no trust away.
void TlsTrust::learn(Known& known, const std::string& pem, const std::string& server_name) {
  if (known.client && (pem.empty() || pem == known.pem)) return;
  common::TlsClientSettings settings;
  settings.server_name = server_name;
  settings.system_bundle = true;
  settings.ca_pem = pem + known.pem;
  try {
    known.client = common::make_tls_client(settings);
    known.pem = pem;
  } catch (const common::Error&) {
    settings.ca_pem.clear();
    if (!known.client) known.client = common::make_tls_client(settings);
  }
}

}  // namespace millrace::controller
