#include "common/http_request_parser.h"

#include <boost/beast/http/error.hpp>

namespace millrace::common {

namespace http = boost::beast::http;

HttpRequest to_request(HttpRequestParser::value_type&& message) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  const std::string target(message.target());
  const auto question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string::npos) request.query = target.substr(question + 1);
  for (const auto& field : message) request.headers.emplace_back(field.name_string(), field.value());
  request.body = std::move(message.body());
  return request;
}

std::optional<HttpRefusal> refusal_of(const boost::beast::error_code& ec, const HttpServerOptions& options) {
  if (ec == http::error::body_limit) {
    return HttpRefusal{413, "the request body is larger than " + std::to_string(options.max_body_bytes) + " bytes"};
  }
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
    return HttpRefusal{431, "the request header is larger than " + std::to_string(options.max_header_bytes) + " bytes"};
  }
  const bool of_the_parser = ec.category() == http::make_error_code(http::error::bad_method).category();
  if (of_the_parser && ec != http::error::end_of_stream && ec != http::error::partial_message) {
    return HttpRefusal{400, "not an HTTP/1.1 request: " + ec.message()};
  }
  return std::nullopt;
}

}  // namespace millrace::common
