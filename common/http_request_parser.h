// From what Beast reads to what handlers get: requests, and what to answer to bytes that are none.
#pragma once

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <string>

#include "common/http.h"
#include "common/http_server.h"

namespace millrace::common {

using HttpRequestParser = boost::beast::http::request_parser<boost::beast::http::string_body>;

HttpRequest to_request(HttpRequestParser::value_type&& message);

struct HttpRefusal {
  int status = 0;
  std::string message;
};

// What a client is told whose request could not be read. Empty when it is gone and nobody would listen.
std::optional<HttpRefusal> refusal_of(const boost::beast::error_code& ec, const HttpServerOptions& options);

}  // namespace millrace::common
