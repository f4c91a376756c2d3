// What the API server said no with. `code()` is what callers switch on; the rest is for messages, metrics and back-off.
#pragma once

#include <chrono>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/error.h"

namespace millrace::controller::kube {

class ApiError : public common::Error {
 public:
  // `status` is the HTTP status, 0 when no answer came. `reason` is Status.reason, for example "AlreadyExists".
  ApiError(common::Code code, int status, std::string reason, const std::string& message,
           std::optional<std::chrono::milliseconds> retry_after = std::nullopt)
      : Error(code, message), status_(status), reason_(std::move(reason)), retry_after_(retry_after) {}

  int status() const { return status_; }
  const std::string& reason() const { return reason_; }
  std::optional<std::chrono::milliseconds> retry_after() const { return retry_after_; }

 private:
  int status_;
  std::string reason_;
  std::optional<std::chrono::milliseconds> retry_after_;
};

// The error itself when it is an ApiError; else one with status 0, its message, and its code (kInternal when it has
// none).
ApiError as_api_error(const std::exception& error);

// 400, 422 kInvalidArgument; 401 kUnauthenticated; 403 kPermissionDenied; 404 kNotFound; 405, 415 kUnimplemented;
// 409 kAlreadyExists or kConflict by reason; 410 kGone; 429 kResourceExhausted; 5xx and 408 kUnavailable.
common::Code code_for(int status, std::string_view reason);

// From a response that is not 2xx. `body` should be a Status object; anything else becomes part of the message, cut
// short. `what` says what was tried, for example "get pods default/a". `retry_after` is the header's value, empty when
// absent.
ApiError error_from_response(int status, std::string_view body, std::string_view retry_after, std::string_view what);

// From a Status document. `http_status` 0: Status.code counts. Missing or odd fields read as an internal error (500).
ApiError error_from_status(const nlohmann::json& status, int http_status,
                           std::optional<std::chrono::milliseconds> retry_after, std::string_view what);

// Retry-After in seconds or as an HTTP date is allowed by HTTP; the API server sends seconds, and only these are read.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value);

}  // namespace millrace::controller::kube
