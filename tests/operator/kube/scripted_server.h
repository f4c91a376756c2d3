// An HTTP server for wire tests that does exactly what a script says, rules of HTTP included or not. Plain sockets on
// 127.0.0.1, one thread per connection, one script call per request.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace millrace::testing {

struct ScriptedRequest {
  std::string method;
  std::string target;
  std::string head;  // request line and headers as received
  std::string body;

  std::string header(const std::string& name) const;  // empty when absent; names compared as given
};

class ScriptedConnection {
 public:
  explicit ScriptedConnection(int fd) : fd_(fd) {}

  void send(std::string_view bytes);
  void respond(int status, std::string_view body, const std::string& more_headers = {});
  void begin_chunks(const std::string& more_headers = {});  // headers of a chunked 200
  void chunk(std::string_view bytes);
  void end_chunks() { send("0\r\n\r\n"); }
  void cut();  // closes now
  // As a machine that lost its power: the peer is told nothing. False when the kernel or its rights do not allow that.
  bool vanish();
  bool wait_until_peer_leaves();  // blocks; true when it closed, false when it sent something instead
  bool is_cut() const { return cut_; }

 private:
  int fd_;
  bool cut_ = false;
};

class ScriptedServer {
 public:
  // `call` counts all requests from 0.
  using Script = std::function<void(ScriptedConnection&, const ScriptedRequest&, int call)>;

  explicit ScriptedServer(Script script);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int calls() const { return calls_; }
  std::vector<ScriptedRequest> requests() const;

 private:
  void accept_loop();
  void serve(int fd);

  const Script script_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> calls_ = 0;
  mutable std::mutex mutex_;
  std::vector<ScriptedRequest> requests_;
  std::vector<int> open_;
  std::list<std::thread> connections_;
  std::thread acceptor_;
};

}  // namespace millrace::testing
