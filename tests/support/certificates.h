#pragma once

#include <map>
#include <string>

#include "tests/support/temp_directory.h"

namespace millrace::test {

// An authority of its own, made with the openssl program.
class CertificateAuthority {
 public:
  CertificateAuthority();

  std::string pem() const;
  // tls.crt and tls.key for a server of this DNS name, as they are in a Secret of type kubernetes.io/tls.
  std::map<std::string, std::string> issue(const std::string& dns_name) const;

 private:
  TempDirectory folder_;
};

}  // namespace millrace::test
