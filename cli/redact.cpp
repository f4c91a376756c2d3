#include "cli/redact.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <regex>
#include <vector>

namespace millrace::cli {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMixedRun = 16;  // characters without a break that mix both cases and digits
constexpr std::size_t kLowerRun = 24;  // letters of one case and digits
constexpr std::size_t kHexRun = 32;
constexpr std::size_t kLongestLine = 8192;

constexpr std::array<std::string_view, 19> kPrefixes{
    "sk-",   "ghp_",  "gho_", "ghu_", "ghs_", "github_pat_", "glpat-", "hf_",       "xoxb-",  "xoxp-",
    "xoxa-", "xoxr-", "AKIA", "ASIA", "AIza", "npm_",        "pypi-",  "dckr_pat_", "dop_v1_"};

constexpr std::array<std::string_view, 10> kSecretWords{"token",     "secret",       "password", "passwd",
                                                        "apikey",    "credential",   "bearer",   "privatekey",
                                                        "accesskey", "authorization"};

bool is_alnum(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}
bool is_word(char c) {
  return is_alnum(c) || c == '_' || c == '-' || c == '+' || c == '/' || c == '=';
}

// Lower case without what separates words.
std::string plain(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (is_alnum(c)) result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return result;
}

bool is_random(std::string_view run) {
  std::size_t digits = 0, lower = 0, upper = 0;
  for (const char c : run) {
    const auto u = static_cast<unsigned char>(c);
    digits += std::isdigit(u) != 0;
    lower += std::islower(u) != 0;
    upper += std::isupper(u) != 0;
  }
  const bool hex = std::all_of(run.begin(), run.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
  if (hex && run.size() >= kHexRun && digits > 0) return true;
  if (digits < 2) return false;
  if (lower > 0 && upper > 0) return run.size() >= kMixedRun;
  return run.size() >= kLowerRun && lower + upper > 4 && digits > 3;
}

std::vector<std::string_view> runs_of(std::string_view word) {
  std::vector<std::string_view> runs;
  for (std::size_t at = 0; at < word.size();) {
    std::size_t end = at;
    while (end < word.size() && is_alnum(word[end])) ++end;
    if (end > at) runs.push_back(word.substr(at, end - at));
    at = end + 1;
  }
  return runs;
}

// Digests of images and content are no secrets and say which version runs.
bool is_digest(std::string_view before) {
  return before.ends_with("sha256:") || before.ends_with("sha512:");
}

std::string without_tokens(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    if (!is_word(text[at])) {
      result += text[at++];
      continue;
    }
    std::size_t end = at;
    while (end < text.size() && is_word(text[end])) ++end;
    const std::string_view word = text.substr(at, end - at);
    // "name=value" is one word to us: what stands before the sign stays.
    const std::size_t sign = word.find('=');
    const bool pair = sign != std::string_view::npos && word.find_first_not_of('=', sign) != std::string_view::npos;
    const std::string_view value = pair ? word.substr(sign + 1) : word;
    if (pair) result += word.substr(0, sign + 1);
    result += looks_like_token(value) && !is_digest(text.substr(0, at)) ? std::string_view(kRedacted) : value;
    at = end;
  }
  return result;
}

bool is_number(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0 || c == '.'; });
}

bool is_name(char c) {
  return is_alnum(c) || c == '_' || c == '-';
}

// Where the value of `name=value`, `name: value` or `"name": "value"` begins, `at` being the end of the name; npos when
// there is no sign. Quotes may be escaped.
std::size_t value_after(std::string_view text, std::size_t at) {
  const auto skip = [&](std::string_view any) {
    while (at < text.size() && any.find(text[at]) != any.npos) ++at;
  };
  skip("\\\"'");
  skip(" \t");
  if (at >= text.size() || (text[at] != '=' && text[at] != ':')) return text.npos;
  ++at;
  skip(" \t\\\"'");
  return at;
}

// What follows the name of a secret and a sign.
std::string without_named(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && is_name(text[end])) ++end;
    const std::size_t value =
        end > at && names_a_secret(text.substr(at, end - at)) ? value_after(text, end) : text.npos;
    if (value == text.npos) {
      end = std::max(end, at + 1);
      result += text.substr(at, end - at);
      at = end;
      continue;
    }
    const std::size_t stop = std::min(text.find_first_of(" \t\"',;}&\\", value), text.size());
    const std::string_view secret = text.substr(value, stop - value);
    result += text.substr(at, value - at);
    result += secret.empty() || is_number(secret) ? secret : std::string_view(kRedacted);
    at = stop;
  }
  return result;
}

// The patterns recurse over a line, so its length is limited.
std::string redact_line(std::string_view line) {
  static const std::regex kHeader(R"(\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,})", std::regex::icase);
  static const std::regex kUserInfo(R"((://[^\s:/@]*):[^\s@/]+@)");
  std::string text(line.substr(0, kLongestLine));
  text = std::regex_replace(text, kHeader, std::string("$1 ") + kRedacted);
  text = std::regex_replace(text, kUserInfo, std::string("$1:") + kRedacted + "@");
  return without_tokens(without_named(text)) + (line.size() > kLongestLine ? "[cut]" : "");
}

bool is_environment(const Json& json) {
  return json.is_object() && json.contains("name") && json["name"].is_string() && json.contains("value") &&
         json["value"].is_string();
}

Json redact_value(const std::string& text) {
  // A document within a document: the configuration of an agent, an applied manifest in an annotation.
  if (text.starts_with("{") || text.starts_with("[")) {
    const Json inner = Json::parse(text, nullptr, false);
    if (inner.is_structured()) return redact(inner).dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  return redact_text(text);
}

// "--api-key", "abc": the value is the next argument.
Json redact_list(const Json& list) {
  Json result = Json::array();
  bool value_follows = false;
  for (const Json& item : list) {
    result.push_back(value_follows && item.is_string() ? Json(kRedacted) : redact(item));
    value_follows = false;
    if (!item.is_string()) continue;
    const std::string& text = item.get_ref<const std::string&>();
    value_follows = text.starts_with("-") && text.find('=') == std::string::npos && names_a_secret(text);
  }
  return result;
}

}  // namespace

bool names_a_secret(std::string_view name) {
  std::string word = plain(name);
  for (const char* harmless : {"name", "names", "file", "path", "ref", "seconds", "hash"}) {
    if (word.ends_with(harmless)) return false;
  }
  if (word.ends_with("tokens")) return false;  // counts of them
  return std::any_of(kSecretWords.begin(), kSecretWords.end(),
                     [&](std::string_view secret) { return word.find(secret) != std::string::npos; });
}

bool looks_like_token(std::string_view word) {
  const bool known = std::any_of(kPrefixes.begin(), kPrefixes.end(), [&](std::string_view prefix) {
    return word.starts_with(prefix) && word.size() >= prefix.size() + 12;
  });
  if (known || (word.starts_with("eyJ") && word.size() >= 10)) return true;
  const std::vector<std::string_view> runs = runs_of(word);
  return std::any_of(runs.begin(), runs.end(), is_random);
}

std::string redact_text(std::string_view text) {
  std::string result;
  bool in_key = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const bool begins = line.find("-----BEGIN ") != line.npos && line.find("PRIVATE KEY") != line.npos;
    if (begins) result += kRedacted;
    in_key = in_key || begins;
    if (!in_key) result += redact_line(line);
    if (in_key && line.find("-----END ") != line.npos) in_key = false;
    if (end < text.size() && !in_key) result += '\n';
    at = end + 1;
  }
  return result;
}

Json redact(const Json& json) {
  if (json.is_string()) return redact_value(json.get_ref<const std::string&>());
  if (json.is_array()) return redact_list(json);
  if (!json.is_object()) return json;
  Json result = Json::object();
  const bool secret_variable = is_environment(json) && names_a_secret(json["name"].get_ref<const std::string&>());
  for (const auto& [key, value] : json.items()) {
    const bool secret = value.is_string() && (names_a_secret(key) || (secret_variable && key == "value"));
    // Identifiers of objects are random by design.
    const bool identifier = key == "uid" || key == "resourceVersion" || key == "imageID" || key == "containerID";
    result[key] = secret ? Json(kRedacted) : (identifier ? value : redact(value));
  }
  return result;
}

}  // namespace millrace::cli
