#include "common/http_tls.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/address.hpp>
#include <ctime>
#include <utility>

#include "common/error.h"
#include "common/file.h"
#include "common/log.h"

namespace millrace::common {
namespace {

namespace net = boost::asio;
namespace ssl = net::ssl;
using boost::system::error_code;

std::shared_ptr<TlsContext> new_context(TlsContext::method method) {
  auto context = std::make_shared<TlsContext>(method);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);  // connections are idle most of the time
  return context;
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error(Code::kInvalidArgument, what);
}

bool is_address(const std::string& host) {
  error_code ec;
  net::ip::make_address(host, ec);
  return !ec;
}

}  // namespace

std::shared_ptr<TlsContext> make_tls_server_context(const TlsServerFiles& files) {
  const std::string certificate = read_file(files.certificate, "TLS certificate");
  const std::string key = read_file(files.key, "TLS key");
  std::shared_ptr<TlsContext> context = new_context(TlsContext::tls_server);
  // Or OpenSSL would ask for a passphrase on the terminal.
  context->set_password_callback([](std::size_t, TlsContext::password_purpose) { return std::string(); });
  error_code ec;
  context->use_certificate_chain(net::buffer(certificate), ec);
  if (ec) refuse("TLS certificate: " + files.certificate.string() + " is no certificate in PEM: " + ec.message());
  context->use_private_key(net::buffer(key), TlsContext::pem, ec);
  const bool other = ec && ERR_GET_LIB(static_cast<unsigned long>(ec.value())) == ERR_LIB_X509;
  if (ec && !other) refuse("TLS key: " + files.key.string() + " is no private key in PEM: " + ec.message());
  if (other || SSL_CTX_check_private_key(context->native_handle()) != 1) {
    ERR_clear_error();
    refuse("TLS key: " + files.key.string() + " does not belong to the certificate " + files.certificate.string());
  }
  return context;
}

std::chrono::system_clock::time_point certificate_end(const std::filesystem::path& file) {
  const std::string pem = read_file(file, "TLS certificate");
  const std::unique_ptr<BIO, decltype(&BIO_free)> bytes(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                        &BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(bytes.get(), nullptr, nullptr, nullptr), &X509_free);
  std::tm end{};
  if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end) != 1) {
    ERR_clear_error();
    refuse("TLS certificate: " + file.string() + " is no certificate in PEM");
  }
  return std::chrono::system_clock::from_time_t(timegm(&end));
}

TlsCertificate::TlsCertificate(TlsServerFiles files)
    : files_(std::move(files)),
      watched_({files_.certificate, files_.key}, files_.look_every),
      context_(make_tls_server_context(files_)) {}

std::shared_ptr<TlsContext> TlsCertificate::context() {
  if (!watched_.changed()) return context_;
  try {
    context_ = make_tls_server_context(files_);
    complaint_.clear();
    log_info("TLS certificate read again", {{"file", files_.certificate.string()}});
  } catch (const Error& error) {
    watched_.read_again();  // the two files may have been replaced between one read and the other
    if (complaint_ == error.what()) return context_;
    complaint_ = error.what();
    log_warn("TLS certificate not read again; the one before stays", {{"error", error.what()}});
  }
  return context_;
}

TlsClient::TlsClient(const TlsClientSettings& settings)
    : server_name_(settings.server_name), verify_(settings.verify), context_(new_context(TlsContext::tls_client)) {
  if (!verify_) return;
  if (settings.ca_pem.empty() || settings.system_bundle) context_->set_default_verify_paths();
  if (settings.ca_pem.empty()) return;
  error_code ec;
  context_->add_certificate_authority(net::buffer(settings.ca_pem), ec);
  if (ec || settings.ca_pem.find("-----BEGIN CERTIFICATE-----") == std::string::npos) {
    refuse("the bundle of trusted certificates holds none in PEM" + (ec ? ": " + ec.message() : ""));
  }
  // Who is in the bundle is trusted, also one that another has signed.
  X509_STORE_set_flags(SSL_CTX_get_cert_store(context_->native_handle()), X509_V_FLAG_PARTIAL_CHAIN);
}

void TlsClient::prepare(HttpStream& stream, const std::string& host) const {
  HttpStream::Tls& tls = stream.use_tls(*context_);
  const std::string& name = server_name_.empty() ? host : server_name_;
  SSL* native = tls.native_handle();
  if (is_address(name)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(native), name.c_str());
  } else {
    SSL_set_tlsext_host_name(native, name.c_str());
    SSL_set1_host(native, name.c_str());
  }
  tls.set_verify_mode(verify_ ? ssl::verify_peer : ssl::verify_none);
}

std::shared_ptr<const TlsClient> make_tls_client(const TlsClientSettings& settings) {
  return std::make_shared<const TlsClient>(settings);
}

std::string tls_failure(HttpStream::Tls& tls, const error_code& ec) {
  std::string text = "no TLS connection: " + ec.message();
  const long verdict = SSL_get_verify_result(tls.native_handle());
  if (verdict != X509_V_OK) text += std::string(": ") + X509_verify_cert_error_string(verdict);
  return text;
}

}  // namespace millrace::common
