#include "tests/support/certificates.h"

#include <cstdlib>
#include <stdexcept>

#include "common/file.h"

namespace millrace::test {
namespace {

void openssl(const std::filesystem::path& folder, const std::string& arguments) {
  const std::string command =
      "cd '" + folder.string() +
      "' && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 " + arguments +
      " >openssl.log 2>&1";
  if (std::system(command.c_str()) != 0) {
    throw std::runtime_error(command + ": " + common::read_file(folder / "openssl.log", "log"));
  }
}

}  // namespace

CertificateAuthority::CertificateAuthority() {
  openssl(folder_.path(), "-keyout ca.key -out ca.crt -subj '/CN=An authority for tests'");
}

std::string CertificateAuthority::pem() const {
  return common::read_file(folder_.path() / "ca.crt", "certificate");
}

std::map<std::string, std::string> CertificateAuthority::issue(const std::string& dns_name) const {
  openssl(folder_.path(), "-CA ca.crt -CAkey ca.key -keyout tls.key -out tls.crt -subj '/CN=" + dns_name +
                              "' -addext subjectAltName=DNS:" + dns_name +
                              " -addext basicConstraints=critical,CA:FALSE");
  std::map<std::string, std::string> files;
  for (const char* name : {"tls.crt", "tls.key"}) files[name] = common::read_file(folder_.path() / name, "certificate");
  return files;
}

}  // namespace millrace::test
