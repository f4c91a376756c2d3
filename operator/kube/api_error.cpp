#include "operator/kube/api_error.h"

#include <charconv>

#include "operator/kube/object.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kLongestRetryAfter{3600};
constexpr std::size_t kStatusMessageLimit = 2000;

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  for (const char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? ' ' : c;
  }
  return text.size() > limit ? out + "..." : out;
}

std::string describe(int status, std::string_view what, std::string_view message) {
  std::string text(what);
  text += ": ";
  if (status != 0) text += std::to_string(status) + " ";
  return text + std::string(message);
}

std::optional<milliseconds> retry_in_details(const Object& status) {
  const std::optional<std::int64_t> wait = status.int_at("/details/retryAfterSeconds");
  if (!wait || *wait <= 0) return std::nullopt;
  return std::min<milliseconds>(kLongestRetryAfter, seconds(std::min<std::int64_t>(*wait, kLongestRetryAfter.count())));
}

}  // namespace

ApiError as_api_error(const std::exception& error) {
  if (const auto* api_error = dynamic_cast<const ApiError*>(&error)) return *api_error;
  const auto* ours = dynamic_cast<const common::Error*>(&error);
  return {ours ? ours->code() : Code::kInternal, 0, "", error.what()};
}

Code code_for(int status, std::string_view reason) {
  switch (status) {
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kNotFound;
    case 405:
    case 415:
      return Code::kUnimplemented;
    case 408:
      return Code::kUnavailable;
    case 409:
      return reason == "AlreadyExists" ? Code::kAlreadyExists : Code::kConflict;
    case 410:
      return Code::kGone;
    case 429:
      return Code::kResourceExhausted;
    default:
      return status >= 400 && status < 500 ? Code::kInvalidArgument : Code::kUnavailable;
  }
}

ApiError error_from_status(const nlohmann::json& status, int http_status, std::optional<milliseconds> retry_after,
                           std::string_view what) {
  const Object document(status);
  const std::string reason = document.string_at("/reason");
  int code = http_status;
  if (code == 0) {
    const std::int64_t stated = document.int_at("/code").value_or(500);
    code = stated >= 300 && stated <= 599 ? static_cast<int>(stated) : 500;
    if (reason == "Expired" || reason == "Gone") code = 410;
  }
  std::string message = document.string_at("/message");
  if (message.empty()) message = reason.empty() ? "no message" : reason;
  if (!retry_after) retry_after = retry_in_details(document);
  return {code_for(code, reason), code, reason, describe(code, what, printable(message, kStatusMessageLimit)),
          retry_after};
}

ApiError error_from_response(int status, std::string_view body, std::string_view retry_after, std::string_view what) {
  const nlohmann::json document = parse_document(body);
  if (document.is_object() && document.contains("message")) {
    return error_from_status(document, status, parse_retry_after(retry_after), what);
  }
  const std::string message = body.empty() ? "no message" : printable(body, 200);
  return {code_for(status, ""), status, "", describe(status, what, message), parse_retry_after(retry_after)};
}

std::optional<milliseconds> parse_retry_after(std::string_view value) {
  std::int64_t wait = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), wait);
  if (error != std::errc{} || end != value.data() + value.size() || wait < 0) return std::nullopt;
  return std::min<milliseconds>(kLongestRetryAfter, seconds(std::min<std::int64_t>(wait, kLongestRetryAfter.count())));
}

}  // namespace millrace::controller::kube
