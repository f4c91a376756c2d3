#include "agent/answer_headers.h"

#include <algorithm>

#include "agent/random_id.h"

namespace millrace::agent {
namespace {

using common::HttpHeaders;
using common::HttpResponse;
using common::HttpWriter;

constexpr std::size_t kMaxRequestId = 128;

class HeaderWriter : public HttpWriter {
 public:
  HeaderWriter(std::shared_ptr<HttpWriter> inner, HttpHeaders headers)
      : inner_(std::move(inner)), headers_(std::move(headers)) {}

  void respond(HttpResponse response) override { inner_->respond(add(std::move(response))); }
  void begin(HttpResponse head) override { inner_->begin(add(std::move(head))); }
  bool write(std::string_view piece) override { return inner_->write(piece); }
  void end() override { inner_->end(); }
  void on_disconnect(std::function<void()> callback) override { inner_->on_disconnect(std::move(callback)); }

 private:
  HttpResponse add(HttpResponse response) const {
    response.headers.insert(response.headers.end(), headers_.begin(), headers_.end());
    return response;
  }

  const std::shared_ptr<HttpWriter> inner_;
  const HttpHeaders headers_;
};

bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

}  // namespace

std::string request_id(const common::HttpRequest& request) {
  const std::string_view given = request.header("X-Request-Id");
  const bool visible = std::all_of(given.begin(), given.end(), [](char c) { return c > ' ' && c < 0x7F; });
  if (given.empty() || given.size() > kMaxRequestId || !visible) return random_id("req_");
  return std::string(given);
}

HttpHeaders cors_headers(const std::vector<std::string>& allowed, const common::HttpRequest& request) {
  if (allowed.empty()) return {};
  const std::string_view origin = request.header("Origin");
  const bool any = contains(allowed, "*");
  HttpHeaders headers;
  if (!any) headers.emplace_back("Vary", "Origin");  // also without one: a cache must not serve that answer to a page
  if (origin.empty() || (!any && !contains(allowed, origin))) return headers;
  headers.emplace_back("Access-Control-Allow-Origin", any ? "*" : std::string(origin));
  headers.emplace_back("Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
  if (request.method != "OPTIONS") return headers;
  headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
  const std::string_view wanted = request.header("Access-Control-Request-Headers");
  headers.emplace_back("Access-Control-Allow-Headers", wanted.empty() ? "*" : std::string(wanted));
  headers.emplace_back("Access-Control-Max-Age", "600");
  return headers;
}

common::HttpReply with_headers(common::HttpReply reply, HttpHeaders headers) {
  if (auto* response = std::get_if<HttpResponse>(&reply)) {
    response->headers.insert(response->headers.end(), headers.begin(), headers.end());
    return reply;
  }
  return common::HttpDeferred([start = std::get<common::HttpDeferred>(std::move(reply)),
                               headers = std::move(headers)](std::shared_ptr<HttpWriter> writer) {
    start(std::make_shared<HeaderWriter>(std::move(writer), headers));
  });
}

}  // namespace millrace::agent
