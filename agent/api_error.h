// A refusal as an OpenAI client reads it: {"error": {"message", "type", "param", "code"}} and a status.
#pragma once

#include <stdexcept>
#include <string>

#include "common/error.h"
#include "common/http.h"

namespace millrace::agent {

// Ends a request. The named constructors below are the only kinds there are.
class ApiError : public std::runtime_error {
 public:
  struct Fields {
    int status = 500;
    std::string type;
    std::string param;  // empty: null
    std::string code;   // empty: null
  };
  ApiError(const std::string& message, Fields fields) : std::runtime_error(message), fields_(std::move(fields)) {}

  const Fields& fields() const { return fields_; }

 private:
  Fields fields_;
};

// 400. `param` is the field's path, for example "messages[0].content".
ApiError bad_request(const std::string& param, const std::string& message, const std::string& code = "invalid_value");
ApiError not_found(const std::string& message, const std::string& param = "", const std::string& code = "");  // 404
ApiError unauthorized(const std::string& message);                                                            // 401
ApiError overloaded(const std::string& message);      // 429, with Retry-After
ApiError unavailable(const std::string& message);     // 503, with Retry-After
ApiError internal_error(const std::string& message);  // 500

// What an error of the engine or the text layer means to a client. `param` is used for kInvalidArgument.
ApiError from_error(const common::Error& error, const std::string& param = "");

// The JSON text of the error object, one line; also the data of an error event in a stream.
std::string error_body(const ApiError& error);
common::HttpResponse error_response(const ApiError& error);
// For the statuses that the HTTP server makes itself (408, 413, 431, ...).
common::HttpResponse error_response(int status, const std::string& message);

}  // namespace millrace::agent
