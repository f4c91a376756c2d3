// Who we are, kept fresh: a token file is read again each minute, a credential plugin is run again before its
// credential expires, and both after the server answered 401. Thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "operator/kube/kubeconfig.h"

namespace millrace::controller::kube {

struct ClientCertificate {
  std::string certificate_pem;
  std::string key_pem;
};

// What a plugin printed.
struct ExecCredential {
  std::string token;
  ClientCertificate certificate;
  std::optional<std::chrono::system_clock::time_point> expires;
};

// Throws kUnauthenticated with the plugin's name when `output` is not an ExecCredential with a status.
ExecCredential parse_exec_credential(std::string_view output, const ExecPlugin& plugin);

// Runs the plugin as a child process and waits at most `limit` for it.
ExecCredential run_exec_plugin(const ExecPlugin& plugin, const ClusterConfig& config, std::chrono::milliseconds limit);

class Credentials {
 public:
  using Clock = std::chrono::system_clock;

  explicit Credentials(const ClusterConfig& config, std::function<Clock::time_point()> now = &Clock::now);

  std::string authorization();  // value of the Authorization header; empty: none
  ClientCertificate certificate();
  // Forgets what was read. False when there is nothing to read again, so that a repeated request would fail alike.
  bool refresh();

 private:
  void ensure_locked();

  const ClusterConfig config_;
  const std::function<Clock::time_point()> now_;
  std::mutex mutex_;
  bool loaded_ = false;
  Clock::time_point use_until_ = Clock::time_point::max();
  std::string token_;
  ClientCertificate certificate_;
};

}  // namespace millrace::controller::kube
