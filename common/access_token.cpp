#include "common/access_token.h"

#include <charconv>
#include <mutex>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "common/error.h"
#include "common/file.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/text.h"
#include "common/watched_files.h"

namespace millrace::common {
namespace {

namespace fs = std::filesystem;
using std::chrono::system_clock;

struct Tokens {
  std::vector<std::string> current;
  std::string previous;                     // empty: there is none
  system_clock::time_point previous_until;  // exclusive
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    line = trimmed(line);
    if (!line.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

system_clock::time_point read_until(const fs::path& file) {
  const std::optional<std::string> text = read_file_if_present(file, "secret file");
  if (!text) return system_clock::time_point::max();
  const std::string number = trimmed(*text);
  std::int64_t seconds = 0;  // what is no number is long past
  std::from_chars(number.data(), number.data() + number.size(), seconds);
  return system_clock::time_point(std::chrono::seconds(seconds));
}

Tokens read_tokens(const fs::path& file) {
  Tokens tokens;
  tokens.current = lines_of(read_secret_file(file));
  tokens.previous = trimmed(read_file_if_present(file.parent_path() / "previous", "secret file").value_or(""));
  if (!tokens.previous.empty()) tokens.previous_until = read_until(file.parent_path() / "previous-until");
  return tokens;
}

}  // namespace

class AccessToken::Source {
 public:
  explicit Source(std::string fixed) { tokens_.current.push_back(std::move(fixed)); }
  Source(const fs::path& file, std::chrono::milliseconds look_every) : file_(file) {
    const fs::path folder = file.parent_path();
    watched_.emplace(std::vector<fs::path>{file, folder / "previous", folder / "previous-until"}, look_every);
    tokens_ = read_tokens(file);
  }

  Tokens tokens() {
    const std::lock_guard lock(mutex_);
    if (watched_ && watched_->changed()) read();
    Tokens tokens = tokens_;
    if (system_clock::now() >= tokens.previous_until) tokens.previous.clear();
    return tokens;
  }

 private:
  void read() {
    try {
      tokens_ = read_tokens(file_);
      log_info("secret file read again", {{"file", file_.string()}});
    } catch (const Error& error) {
      log_warn("secret file not read again; what it held before counts", {{"error", error.what()}});
    }
  }

  const fs::path file_;
  std::mutex mutex_;
  std::optional<WatchedFiles> watched_;  // absent: a fixed token
  Tokens tokens_;
};

AccessToken::AccessToken(std::string fixed) : source_(std::make_shared<Source>(std::move(fixed))) {}

AccessToken AccessToken::from_file(const fs::path& file, std::chrono::milliseconds look_every) {
  return AccessToken(std::make_shared<Source>(file, look_every));
}

bool AccessToken::accepts(const HttpRequest& request) const {
  const Tokens tokens = source_->tokens();
  bool accepted = !tokens.previous.empty() && has_bearer_token(request, tokens.previous);
  for (const std::string& token : tokens.current) accepted = has_bearer_token(request, token) || accepted;
  return accepted;
}

std::string AccessToken::oldest() const {
  const Tokens tokens = source_->tokens();
  return tokens.previous.empty() ? tokens.current.front() : tokens.previous;
}

}  // namespace millrace::common
