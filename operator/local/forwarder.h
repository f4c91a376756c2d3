// One stable address in front of what comes and goes: takes TCP connections and passes their bytes to one of the
// current backends, in turn. With no backend a connection is answered with HTTP 503.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millrace::controller::local {

struct Backend {
  std::string ip;
  std::uint16_t port = 0;
};

class Forwarder {
 public:
  // `backends` is asked for each connection, on the forwarder's thread. Port 0: the system chooses. Listens when it
  // returns; throws common::Error{kUnavailable} when the port is taken.
  Forwarder(const std::string& address, std::uint16_t port, std::function<std::vector<Backend>()> backends);
  ~Forwarder();  // cuts what is open

  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  std::uint16_t port() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::controller::local
