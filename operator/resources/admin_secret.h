// The token that operator and agents of one deployment share. Made once, and replaced when somebody asks for it; agents
// read the mounted Secret again (common/access_token.h) and for a while accept the token before as well.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "operator/plan/group.h"
#include "operator/resources/child.h"

namespace millrace::controller {

// Keys of the Secret.
inline constexpr const char* kTokenKey = "token";
inline constexpr const char* kPreviousKey = "previous";
inline constexpr const char* kPreviousUntilKey = "previous-until";  // Unix seconds

// Longer than kubelets take to bring the Secret to every pod, and Prometheus to read it.
inline constexpr std::chrono::minutes kTokenOverlap{10};

struct AdminToken {
  std::string token;
  std::string previous{};  // empty: none is accepted any more
  TimePoint previous_until{};

  bool operator==(const AdminToken&) const = default;
};

std::string random_token();  // 256 bits from the system's generator, in hexadecimal

// A new token; the one before stays accepted for kTokenOverlap.
AdminToken rotated(const std::string& token, TimePoint now);

// `request`: the value of kRotateAnnotation that it answers; empty: none.
kube::Object build_admin_secret(const Parent& parent, const AdminToken& token, const std::string& request = {});

// A merge patch that puts the token into the stored Secret, as long as nobody else has changed it.
Json admin_secret_patch(const kube::Object& secret, const AdminToken& token, const std::string& request);

// From a stored Secret; empty when it has none.
std::optional<AdminToken> token_of(const kube::Object& secret, TimePoint now);

}  // namespace millrace::controller
