#include "operator/reconcile/admin_tokens.h"

#include <utility>

#include "common/error.h"
#include "common/log.h"
#include "operator/api/labels.h"
#include "operator/kube/timestamp.h"
#include "operator/reconcile/stale.h"

namespace millrace::controller {
namespace {

using common::Code;

std::string request_of(const kube::Object& object) {
  return object.annotation(kRotateAnnotation).value_or("");
}

}  // namespace

AdminTokens::Access AdminTokens::get(const kube::Object& object, const Parent& parent, bool look) {
  Known before;
  {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(parent.key);
    if (found != known_.end() && found->second.uid == parent.uid) before = found->second;
  }
  if (!look && !before.uid.empty() && before.request == request_of(object)) return access_of(before);
  const Known known = read(object, parent, before);
  const std::lock_guard lock(mutex_);
  known_[parent.key] = known;
  return access_of(known);
}

void AdminTokens::forget(const kube::ObjectKey& deployment) {
  const std::lock_guard lock(mutex_);
  known_.erase(deployment);
}

std::optional<AdminToken> AdminTokens::read_only(const kube::ObjectKey& deployment) const {
  const auto secret = client_.get(kube::kSecret, {deployment.ns, admin_secret_name(deployment)});
  return secret ? token_of(*secret, now_()) : std::nullopt;
}

// While the token before is accepted there is something to wait for: its end, and a request made meanwhile.
AdminTokens::Access AdminTokens::access_of(const Known& known) const {
  Access access{known.token};
  const TimePoint now = now_();
  if (now >= known.token.previous_until) {
    access.token.previous.clear();
  } else if (!known.token.previous.empty()) {
    access.look_again = std::chrono::ceil<std::chrono::milliseconds>(known.token.previous_until - now);
  }
  return access;
}

AdminTokens::Known AdminTokens::read(const kube::Object& object, const Parent& parent, const Known& before) {
  Known known{parent.uid, {}, request_of(object)};
  const auto create = [&] {
    known.token = rotated(before.token.token, now_());
    client_.create(kube::kSecret, build_admin_secret(parent, known.token, known.request));
    tell(object, parent, known.token);
  };
  // A deployment that nobody has said anything of has none yet, most likely.
  const bool is_new = before.uid.empty() && object.at("/status").is_null();
  if (is_new && unless_stale(create)) return known;
  const auto secret = client_.get(kube::kSecret, {parent.key.ns, admin_secret_name(parent.key)});
  if (!secret) {
    create();
    return known;
  }
  const std::optional<AdminToken> stored = token_of(*secret, now_());
  const bool asked = !known.request.empty() && secret->annotation(kRotateAnnotation) != known.request;
  known.token = stored.value_or(before.token);
  if (stored && !asked) return known;
  if (stored && !stored->previous.empty()) {  // agents may not know but the one before yet
    known.request = before.request;
    return known;
  }
  return rotate(object, parent, *secret, std::move(known));
}

AdminTokens::Known AdminTokens::rotate(const kube::Object& object, const Parent& parent, const kube::Object& secret,
                                       Known known) {
  const auto owner = secret.controller_owner();
  if (!owner || owner->uid != parent.uid) {
    throw common::Error(Code::kAlreadyExists, "Secret " + to_string(secret.key()) +
                                                  " exists and does not belong to this ModelDeployment: delete it");
  }
  const AdminToken next = rotated(known.token.token, now_());
  try {
    client_.patch(kube::kSecret, secret.key(), admin_secret_patch(secret, next, known.request));
  } catch (const common::Error& error) {
    if (error.code() != Code::kPermissionDenied || known.token.token.empty()) throw;
    const std::string message =
        "The admin token was not rotated, because the operator may not change Secrets: delete "
        "Secret " +
        secret.key().name + ", then ask again with another value";
    common::log_warn(message, {{"deployment", to_string(parent.key)}, {"error", error.what()}});
    if (events_ != nullptr) events_->warning(object, "AdminTokenNotRotated", "RotateAdminToken", message);
    return known;
  }
  known.token = next;
  tell(object, parent, next);
  return known;
}

void AdminTokens::tell(const kube::Object& object, const Parent& parent, const AdminToken& token) {
  if (token.previous.empty()) return;  // the first of a deployment
  const std::string message = "Rotated the admin token in Secret " + admin_secret_name(parent.key) +
                              "; the one before is accepted until " + kube::format_time(token.previous_until);
  common::log_info(message, {{"deployment", to_string(parent.key)}});
  if (events_ != nullptr) events_->normal(object, "AdminTokenRotated", "RotateAdminToken", message);
}

}  // namespace millrace::controller
