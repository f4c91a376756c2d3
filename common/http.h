// Requests, responses and streams as handlers see them: plain values, no sockets. A handler is an ordinary function;
// tests call it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::common {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// The first value of a header, names compared without case; empty when absent.
std::string_view find_header(const HttpHeaders& headers, std::string_view name);

struct HttpRequest {
  std::string method;  // upper case
  std::string path;    // up to '?', as sent
  std::string query;   // after '?', as sent
  HttpHeaders headers;
  std::string body;

  std::string_view header(std::string_view name) const { return find_header(headers, name); }
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  HttpHeaders headers = {};
  bool close = false;  // end the connection after this answer
};

// Answers one request, now or later; every method may be called from any thread. Exactly one of respond() and begin().
// Dropping the last reference without an answer gives the client a 500, or ends the stream abruptly.
class HttpWriter {
 public:
  virtual ~HttpWriter() = default;

  virtual void respond(HttpResponse response) = 0;

  // Starts a streamed answer; head.body is its first piece.
  virtual void begin(HttpResponse head) = 0;
  // False when the client is gone, also because it reads too slowly for the bounded buffer: stop producing.
  virtual bool write(std::string_view piece) = 0;
  virtual void end() = 0;

  // Called at most once, when the client leaves before the answer is complete; at once if it has already left. Runs on
  // a thread of the server or of the writer's caller: must not block.
  virtual void on_disconnect(std::function<void()> callback) = 0;
};

// Either the answer itself, or a function that takes the writer and sees to the answer later (it must not block).
using HttpDeferred = std::function<void(std::shared_ptr<HttpWriter>)>;
using HttpReply = std::variant<HttpResponse, HttpDeferred>;
using HttpHandler = std::function<HttpReply(HttpRequest)>;

// %41 is A; what is not of that form stays as it is.
std::string percent_decode(std::string_view text);

std::string_view http_reason(int status);

// The bytes of an answer. Line breaks inside header values are dropped.
enum class HttpFraming { kLength, kChunked, kUntilClose };
std::string format_http_head(const HttpResponse& response, HttpFraming framing, bool keep_alive);
std::string format_http_chunk(std::string_view data);  // empty data gives nothing; the last chunk is kLastHttpChunk
inline constexpr std::string_view kLastHttpChunk = "0\r\n\r\n";

}  // namespace millrace::common
