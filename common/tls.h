// What TLS has to be told, on either side. Always TLS 1.2 or later.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

namespace millrace::common {

// PEM files, as in a Secret of type kubernetes.io/tls. Read again when they are replaced, as connections come.
struct TlsServerFiles {
  std::filesystem::path certificate;            // the server's own first, then those between it and the root
  std::filesystem::path key;                    // without a passphrase
  std::chrono::milliseconds look_every{1'000};  // for replaced files, at most
};

// When the first certificate of a PEM file ends. Throws, naming the file, what read_file throws, and kInvalidArgument
// when there is none.
std::chrono::system_clock::time_point certificate_end(const std::filesystem::path& file);

struct TlsClientSettings {
  std::string ca_pem = {};       // who is trusted, roots or not; empty: the system's bundle
  bool system_bundle = false;    // trusted as well, where ca_pem is not empty
  std::string server_name = {};  // what the certificate must be for; empty: the host that is called
  bool verify = true;            // false: any certificate will do, as for a kubelet's probes
};

// Settings made ready for many connections, from any thread (common/http_tls.h).
class TlsClient;

// Throws kInvalidArgument when ca_pem holds no certificate.
std::shared_ptr<const TlsClient> make_tls_client(const TlsClientSettings& settings);

}  // namespace millrace::common
