// Headers that answers of the public port carry, whoever makes them and whenever.
#pragma once

#include <string>
#include <vector>

#include "common/http.h"

namespace millrace::agent {

// The client's own X-Request-Id, if it is up to 128 visible ASCII characters; else a new one.
std::string request_id(const common::HttpRequest& request);

// What a browser wants to see before it lets a page of another origin call or read: nothing unless the request's origin
// is among `allowed` or that has "*". Also answers preflight requests.
common::HttpHeaders cors_headers(const std::vector<std::string>& allowed, const common::HttpRequest& request);

// The same reply with more headers, now or when it comes.
common::HttpReply with_headers(common::HttpReply reply, common::HttpHeaders headers);

}  // namespace millrace::agent
