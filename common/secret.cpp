#include "common/secret.h"

#include <algorithm>

#include "common/error.h"
#include "common/file.h"
#include "common/text.h"

namespace millrace::common {

std::string read_secret_file(const std::filesystem::path& path) {
  std::string text = trimmed(read_file(path, "secret file"));
  if (text.empty()) throw Error(Code::kInvalidArgument, "the secret file " + path.string() + " is empty");
  return text;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0U : 1U;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const char other = b.empty() ? '\0' : b[i % b.size()];
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(other);
  }
  return difference == 0;
}

bool has_bearer_token(const HttpRequest& request, std::string_view token) {
  constexpr std::string_view kScheme = "bearer ";
  std::string_view value = request.header("Authorization");
  if (value.size() < kScheme.size()) return false;
  std::string scheme(value.substr(0, kScheme.size()));
  std::transform(scheme.begin(), scheme.end(), scheme.begin(), [](unsigned char c) { return std::tolower(c); });
  if (scheme != kScheme) return false;
  value.remove_prefix(kScheme.size());
  return equal_in_constant_time(value, token);
}

}  // namespace millrace::common
