// Many HTTP/1.1 exchanges at a time on one thread, each peer over one connection that is kept: for a client that asks
// thousands of peers again and again. A kept connection is watched. When it breaks, that is told at once; and a peer
// that falls silent has its connection closed by the kernel (TCP keep-alive), so that nobody need ask it for that.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "common/error.h"
#include "common/http_client.h"

namespace millrace::common {

struct HttpPeer {
  std::string host;  // a numeric address
  std::uint16_t port = 0;

  auto operator<=>(const HttpPeer&) const = default;  // NOLINT(modernize-use-nullptr): misfires on the 0 inside
};

struct HttpResult {
  HttpResponse response;       // whatever its status; without headers
  std::optional<Error> error;  // instead of a response: what http_call throws
  bool kept = false;           // the connection stays open, and its end will be told
};

struct HttpPoolOptions {
  std::size_t max_connecting = 1024;  // peers that are connected to at the same time; others wait for their turn
  std::size_t max_kept = 0;  // connections, those above it are closed after their answer; 0: as many as the process
                             // may have open files, but for a quarter
  std::chrono::milliseconds silence{2'000};  // of the peer's kernel, before a kept connection is closed
  // A kept connection ended while it was idle. `silent_for`: how long the peer had been silent by then, 0 when the end
  // came from the peer. Called on the pool's thread.
  std::function<void(const HttpPeer&, std::chrono::milliseconds silent_for)> on_lost = {};
  std::stop_token stop = {};  // ends every exchange, running or to come, with kCancelled
};

class HttpPool {
 public:
  // Called once, on the pool's thread, never from within call(); must not block.
  using Done = std::function<void(HttpResult)>;

  explicit HttpPool(HttpPoolOptions options);
  ~HttpPool();  // ends what runs with kCancelled; afterwards nothing is called any more

  HttpPool(const HttpPool&) = delete;
  HttpPool& operator=(const HttpPool&) = delete;

  // Any thread. The host must be numeric; call.stop is not looked at. The time-out counts from when the call's turn
  // comes: exchanges with one peer run one after another. An exchange on a kept connection that the peer had just
  // closed is repeated once on a new one, so requests must bear being made twice.
  void call(HttpCall call, Done done);

  // Closes the peer's connection, after what is running; nothing is told about it.
  void forget(const HttpPeer& peer);

  std::uint64_t connects() const;   // made so far
  std::size_t connections() const;  // open now

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::common
