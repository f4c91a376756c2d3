// One request's answer on its way from any thread to the session's: a bounded buffer between them.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/http.h"

namespace millrace::common {

// Shared by the session and the writer it handed out: whoever finishes last frees it.
class HttpExchange {
 public:
  // `notify` is called, from the thread of the caller and without locks held, whenever take() may return something new.
  HttpExchange(std::size_t max_buffered_bytes, std::function<void()> notify);

  // The handler's side. The writer keeps the exchange alive; when it is destroyed unanswered, the exchange fails.
  static std::shared_ptr<HttpWriter> writer(std::shared_ptr<HttpExchange> exchange);

  // The session's side.
  struct Output {
    std::optional<HttpResponse> head;  // once
    bool streamed = false;             // the answer is a stream, head.body its first piece
    std::string data;                  // pieces since the last take
    bool ended = false;                // nothing follows
    bool dropped = false;              // the writer was destroyed without an answer: answer 500
    bool failed = false;               // cut the connection: the client was too slow, or the stream was abandoned
  };
  Output take();
  void client_gone();

 private:
  class Writer;
  void respond(HttpResponse response, bool streamed);
  bool write(std::string_view piece);
  void end();
  void abandon();
  void on_disconnect(std::function<void()> callback);
  void lose_client(std::unique_lock<std::mutex>& lock);

  const std::size_t max_buffered_bytes_;
  const std::function<void()> notify_;

  std::mutex mutex_;
  std::optional<HttpResponse> head_;
  bool answered_ = false;
  bool streamed_ = false;
  std::string pending_;
  bool ended_ = false;
  bool dropped_ = false;
  bool failed_ = false;
  bool gone_ = false;
  std::function<void()> on_disconnect_;
};

}  // namespace millrace::common
