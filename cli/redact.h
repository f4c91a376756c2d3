// Takes secrets out of what leaves a cluster. Errs on the side of taking out too much: a value goes when its name
// speaks of a secret or when it looks like a token. Names of Secrets and keys stay, they are no secrets. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace millrace::cli {

inline constexpr const char* kRedacted = "[redacted]";

// "API_TOKEN", "db-password", "apiKey"; not "secretName", "max_tokens".
bool names_a_secret(std::string_view name);
// A word that is likely a key or token: a known prefix, a JWT, or letters and digits as only chance mixes them.
bool looks_like_token(std::string_view word);

// Log lines, metrics, command lines: what follows the name of a secret, Authorization headers, passwords in URLs,
// private keys, and words that look like tokens.
std::string redact_text(std::string_view text);
// Every string in the document. Literal values of environment variables go whenever their name speaks of a secret.
nlohmann::json redact(const nlohmann::json& json);

}  // namespace millrace::cli
