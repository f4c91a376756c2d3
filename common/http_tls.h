// TLS for the HTTP server and client.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "common/http_stream.h"
#include "common/tls.h"
#include "common/watched_files.h"

namespace millrace::common {

using TlsContext = boost::asio::ssl::context;

// Throws, naming the file, what read_file throws, and kInvalidArgument: not PEM, or the key is of another certificate.
std::shared_ptr<TlsContext> make_tls_server_context(const TlsServerFiles& files);

// A server's certificate for as long as it listens. One thread at a time.
class TlsCertificate {
 public:
  // Throws as make_tls_server_context.
  explicit TlsCertificate(TlsServerFiles files);

  // For the next connection. Files that have been replaced by something unusable change nothing but the log.
  std::shared_ptr<TlsContext> context();

 private:
  const TlsServerFiles files_;
  WatchedFiles watched_;
  std::shared_ptr<TlsContext> context_;
  std::string complaint_;  // the last, so that it is logged once
};

class TlsClient {
 public:
  explicit TlsClient(const TlsClientSettings& settings);

  // Makes a stream to `host` one that speaks TLS and knows whom to expect; the handshake comes next.
  void prepare(HttpStream& stream, const std::string& host) const;

 private:
  std::string server_name_;
  bool verify_;
  std::shared_ptr<TlsContext> context_;  // Asio wants it changeable; nothing changes it
};

// Why a handshake failed, with what was wrong about the certificate.
std::string tls_failure(HttpStream::Tls& tls, const boost::system::error_code& ec);

}  // namespace millrace::common
