#include "agent/api_error.h"

#include <nlohmann/json.hpp>

namespace millrace::agent {
namespace {

constexpr const char* kInvalidRequest = "invalid_request_error";
constexpr const char* kRetryAfterSeconds = "1";

nlohmann::ordered_json text_or_null(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
}

}  // namespace

ApiError bad_request(const std::string& param, const std::string& message, const std::string& code) {
  return {message, {.status = 400, .type = kInvalidRequest, .param = param, .code = code}};
}

ApiError not_found(const std::string& message, const std::string& param, const std::string& code) {
  return {message, {.status = 404, .type = kInvalidRequest, .param = param, .code = code}};
}

ApiError unauthorized(const std::string& message) {
  return {message, {.status = 401, .type = kInvalidRequest, .param = "", .code = "invalid_api_key"}};
}

ApiError overloaded(const std::string& message) {
  return {message, {.status = 429, .type = "rate_limit_error", .param = "", .code = "rate_limit_exceeded"}};
}

ApiError unavailable(const std::string& message) {
  return {message, {.status = 503, .type = "server_error", .param = "", .code = "service_unavailable"}};
}

ApiError internal_error(const std::string& message) {
  return {message, {.status = 500, .type = "server_error", .param = "", .code = "internal_error"}};
}

ApiError from_error(const common::Error& error, const std::string& param) {
  switch (error.code()) {
    case common::Code::kInvalidArgument:
      return bad_request(param, error.what());
    case common::Code::kResourceExhausted:
      return overloaded(error.what());
    case common::Code::kUnavailable:
    case common::Code::kDeadlineExceeded:
      return unavailable(error.what());
    case common::Code::kUnimplemented:
      return bad_request(param, error.what(), "unsupported_value");
    default:
      return internal_error(error.what());
  }
}

std::string error_body(const ApiError& error) {
  const ApiError::Fields& fields = error.fields();
  const nlohmann::ordered_json body = {{"error",
                                        {{"message", error.what()},
                                         {"type", fields.type},
                                         {"param", text_or_null(fields.param)},
                                         {"code", text_or_null(fields.code)}}}};
  return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

common::HttpResponse error_response(const ApiError& error) {
  common::HttpResponse response;
  response.status = error.fields().status;
  response.body = error_body(error);
  if (response.status == 429 || response.status == 503)
    response.headers.emplace_back("Retry-After", kRetryAfterSeconds);
  if (response.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

common::HttpResponse error_response(int status, const std::string& message) {
  ApiError::Fields fields;
  fields.status = status;
  fields.type = status < 500 ? kInvalidRequest : "server_error";
  return error_response(ApiError(message, fields));
}

}  // namespace millrace::agent
