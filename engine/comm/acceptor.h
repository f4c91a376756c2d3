#pragma once

#include <deque>
#include <vector>

#include "engine/comm/mesh.h"

namespace millrace::engine {

// Listens on this rank's endpoint and lets the higher ranks in. Callers that stay silent, speak something else or
// cannot prove the secret are dropped and hold nobody up.
class Acceptor {
 public:
  explicit Acceptor(const TcpCommOptions& options);

  // Returns when all higher ranks are connected on both channels, at the deadline, or when stopped.
  void accept_higher_ranks(Clock::time_point deadline, Mesh& mesh);

  // Why the last caller was turned away; empty when none was.
  const std::string& refusal() const { return refusal_; }

 private:
  // A caller between its connect and its proof.
  struct Caller {
    Socket socket;
    Clock::time_point expires;
    std::vector<std::byte> received;
    bool answered = false;
    HelloBytes hello_bytes{};
    Hello hello;
    Nonce nonce{};
  };
  enum class Progress { kWaiting, kAccepted, kRejected };

  bool is_complete(const Mesh& mesh) const;
  void wait_for_bytes(Clock::time_point deadline) const;
  void take_new_callers();
  void serve_callers(Mesh& mesh);
  Progress serve(Caller& caller);
  Progress answer(Caller& caller);
  Progress verify(Caller& caller);
  Progress reject(const std::string& reason);

  const TcpCommOptions& options_;
  Socket listener_;
  std::deque<Caller> callers_;
  std::string refusal_;
};

}  // namespace millrace::engine
