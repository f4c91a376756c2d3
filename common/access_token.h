// What callers of a port have to show: a fixed token, or tokens in a file that may be replaced while the process runs.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "common/http.h"

namespace millrace::common {

// Any thread. Copies are of the same token.
class AccessToken {
 public:
  AccessToken(std::string fixed);  // a plain token is one
  AccessToken(const char* fixed) : AccessToken(std::string(fixed)) {}

  // Every line of the file is a token. While one replaces another, the file "previous" beside it holds the old one,
  // which counts until the time in "previous-until" (Unix seconds) or, without that, until it is removed. Looks whether
  // they have been replaced as requests come, at most every `look_every`; a file that has become unreadable or empty
  // changes nothing. Throws as read_secret_file (common/secret.h).
  static AccessToken from_file(const std::filesystem::path& file,
                               std::chrono::milliseconds look_every = std::chrono::milliseconds(1'000));

  // Whether the request shows one of the tokens, as "Authorization: Bearer <token>".
  bool accepts(const HttpRequest& request) const;

  // The token that has counted for longest, which is the one that processes that read at different times share.
  std::string oldest() const;

 private:
  class Source;
  explicit AccessToken(std::shared_ptr<Source> source) : source_(std::move(source)) {}

  std::shared_ptr<Source> source_;
};

}  // namespace millrace::common
