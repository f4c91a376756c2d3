// The only file that includes cpprestsdk. Its calls are asynchronous; here each is waited for on the caller's thread
// with a deadline and a stop token of our own, because the library's time-out only measures silence.
#include "operator/kube/client.h"

#include <cpprest/http_client.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pplx/threadpool.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <condition_variable>
#include <mutex>

#include "operator/kube/credentials.h"
#include "operator/kube/kubeconfig.h"
#include "operator/kube/rest_client.h"
#include "operator/kube/transport.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using SteadyClock = std::chrono::steady_clock;
namespace http = web::http;

// The library's pool only runs short completions, never anything that blocks; its default is 40 threads.
void start_threads() {
  static std::once_flag once;
  std::call_once(once, [] { crossplat::threadpool::initialize_with_threads(2); });
}

ApiError no_answer(Code code, const std::string& message) {
  return {code, 0, "", message};
}

struct Gate {
  std::mutex mutex;
  std::condition_variable_any changed;
  bool done = false;

  void open() {
    const std::lock_guard lock(mutex);
    done = true;
    changed.notify_all();
  }
};

// Waits for `task`. When the deadline or the stop comes first, cancels and leaves it behind: the task owns all it uses.
template <typename T>
T await(pplx::task<T> task, const pplx::cancellation_token_source& cancel, SteadyClock::time_point deadline,
        std::stop_token stop, const char* late) {
  const auto gate = std::make_shared<Gate>();
  task.then([gate](pplx::task<T> ended) {
    try {
      ended.wait();  // marks an exception as seen, else the library ends the process
    } catch (...) {
    }
    gate->open();
  });
  std::unique_lock lock(gate->mutex);
  const bool done = gate->changed.wait_until(lock, stop, deadline, [&] { return gate->done; });
  lock.unlock();
  if (done) return task.get();
  cancel.cancel();
  if (stop.stop_requested()) throw no_answer(Code::kCancelled, "stopped");
  throw no_answer(Code::kDeadlineExceeded, late);
}

struct X509StackFree {
  void operator()(STACK_OF(X509_INFO) * stack) const { sk_X509_INFO_pop_free(stack, X509_INFO_free); }
};
struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};

// Only the cluster's own authority may vouch for its API server, so the system's store is replaced.
void trust_only(SSL_CTX* context, const std::string& ca_pem) {
  const std::unique_ptr<BIO, BioFree> bio(BIO_new_mem_buf(ca_pem.data(), static_cast<int>(ca_pem.size())));
  const std::unique_ptr<STACK_OF(X509_INFO), X509StackFree> infos(
      PEM_X509_INFO_read_bio(bio.get(), nullptr, nullptr, nullptr));
  X509_STORE* store = X509_STORE_new();
  int certificates = 0;
  for (int i = 0; infos && i < sk_X509_INFO_num(infos.get()); ++i) {
    X509* certificate = sk_X509_INFO_value(infos.get(), i)->x509;
    if (certificate && X509_STORE_add_cert(store, certificate) == 1) ++certificates;
  }
  SSL_CTX_set_cert_store(context, store);  // takes ownership
  ERR_clear_error();
  if (certificates == 0) throw no_answer(Code::kInvalidArgument, "certificate-authority holds no PEM certificate");
}

void present(boost::asio::ssl::context& context, const ClientCertificate& identity) {
  if (identity.certificate_pem.empty()) return;
  boost::system::error_code error;
  context.use_certificate_chain(boost::asio::buffer(identity.certificate_pem), error);
  if (error) throw no_answer(Code::kInvalidArgument, "client certificate cannot be used: " + error.message());
  context.use_private_key(boost::asio::buffer(identity.key_pem), boost::asio::ssl::context::pem, error);
  if (error) throw no_answer(Code::kInvalidArgument, "client key cannot be used: " + error.message());
}

// Why the last TLS handshake failed; the library only says that one did.
class TlsTrouble {
 public:
  void watch(SSL_CTX* context) {
    SSL_CTX_set_ex_data(context, index(), this);
    SSL_CTX_set_info_callback(context, &TlsTrouble::on_info);
  }
  void set(std::string text) {
    const std::lock_guard lock(mutex_);
    text_ = std::move(text);
  }
  std::string take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(text_, {});
  }

 private:
  static int index() {
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
  }
  static void on_info(const SSL* ssl, int where, int value) {
    if (!(where & SSL_CB_ALERT) || (value >> 8) != SSL3_AL_FATAL) return;
    auto* self = static_cast<TlsTrouble*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), index()));
    const long verified = SSL_get_verify_result(ssl);
    const bool ours = (where & SSL_CB_WRITE) != 0;
    self->set(ours && verified != X509_V_OK
                  ? std::string("server certificate: ") + X509_verify_cert_error_string(verified)
                  : std::string(ours ? "we refused: " : "the server refused: ") + SSL_alert_desc_string_long(value));
  }

  std::mutex mutex_;
  std::string text_;
};

// A peer that vanished (its machine, or the network between) is found out though nothing is to be sent: after 5 s of
// silence the kernel asks every 2 s, and gives up when nothing was acknowledged for 8 s. A peer that is back, but knows
// nothing of the connection, ends it at the first question. Connecting is given up after 3 s: who tries anew is there
// sooner than a kernel that doubles its delays.
void notice_silence(boost::asio::ip::tcp::socket& socket) {
  const int socket_number = socket.native_handle();
  const auto set = [&](int level, int option, int value) {
    static_cast<void>(setsockopt(socket_number, level, option, &value, sizeof value));  // or it is as it was
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 5);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 2);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 8000);
  set(IPPROTO_TCP, TCP_SYNCNT, 1);
}

// The library hands sockets out before they are connected, and connects those that are open if the family is right.
void prepare(boost::asio::ip::tcp::socket& socket, const std::string& host) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host, error);
  if (!socket.is_open() && !error) {
    socket.open(address.is_v4() ? boost::asio::ip::tcp::v4() : boost::asio::ip::tcp::v6(), error);
  }
  if (socket.is_open()) notice_silence(socket);  // of a host known by name only from the second request on
}

class CpprestTransport final : public Transport {
 public:
  CpprestTransport(const ClusterConfig& config, const ClientOptions& options)
      : config_(config),
        options_(options),
        credentials_(std::make_shared<Credentials>(config)),
        trouble_(std::make_shared<TlsTrouble>()),
        client_(web::uri(config.server), client_config()) {}

  HttpResponse send(const HttpRequest& request) override {
    return guarded([&] {
      const auto deadline = SteadyClock::now() + request.limit;
      HttpResponse response = send_once(request, deadline);
      if (response.status == 401 && credentials_->refresh()) response = send_once(request, deadline);
      return response;
    });
  }

  HttpResponse stream(const HttpRequest& request, const StreamLimits& limits,
                      const std::function<void(std::string_view)>& on_bytes) override {
    return guarded([&] {
      const auto header_deadline = SteadyClock::now() + request.limit;
      const pplx::cancellation_token_source cancel;
      http::http_response answer = open(request, cancel, header_deadline);
      if (answer.status_code() != 200) {
        if (answer.status_code() == 401) credentials_->refresh();  // for the caller's next attempt
        return whole(answer, request, cancel, header_deadline);
      }
      try {
        read_pieces(answer, request, limits, cancel, on_bytes);
      } catch (...) {
        cancel.cancel();
        throw;
      }
      return head(answer);
    });
  }

 private:
  http::client::http_client_config client_config() const {
    http::client::http_client_config config;
    config.set_timeout(std::max(options_.silence_limit, options_.request_limit) + std::chrono::seconds(30));
    config.set_validate_certificates(!config_.insecure_skip_tls_verify);
    const web::uri server(config_.server);
    config.set_nativehandle_options(
        [host = server.host(), tls = server.scheme() == "https"](http::client::native_handle handle) {
          using Socket = boost::asio::ip::tcp::socket;
          prepare(tls ? static_cast<boost::asio::ssl::stream<Socket&>*>(handle)->next_layer()
                      : *static_cast<Socket*>(handle),
                  host);
        });
    // Called for each new connection, so a rotated certificate is picked up.
    config.set_ssl_context_callback([ca = config_.ca_pem, insecure = config_.insecure_skip_tls_verify,
                                     credentials = credentials_,
                                     trouble = trouble_](boost::asio::ssl::context& context) {
      trouble->watch(context.native_handle());
      SSL_CTX_set_mode(context.native_handle(), SSL_MODE_RELEASE_BUFFERS);  // connections are idle most of the time
      try {
        if (!insecure && !ca.empty()) trust_only(context.native_handle(), ca);
        present(context, credentials->certificate());
      } catch (const common::Error& error) {
        trouble->set(error.what());  // the handshake fails without it, and says so with this text
      }
    });
    return config;
  }

  // The library's exceptions become ours.
  template <typename Work>
  HttpResponse guarded(const Work& work) {
    try {
      return work();
    } catch (const ApiError&) {
      throw;
    } catch (const common::Error& error) {  // of the credentials
      throw as_api_error(error);
    } catch (const http::http_exception& error) {
      throw no_answer(Code::kUnavailable, unreachable(error.what()));
    } catch (const pplx::task_canceled&) {
      throw no_answer(Code::kUnavailable, unreachable("the connection was closed"));
    } catch (const std::system_error& error) {
      throw no_answer(Code::kUnavailable, unreachable(error.what()));
    } catch (const boost::system::system_error& error) {
      throw no_answer(Code::kUnavailable, unreachable(error.what()));
    }
  }

  std::string unreachable(const std::string& why) {
    const std::string trouble = trouble_->take();
    return "API server " + config_.server + " (" + config_.origin + "): " + why +
           (trouble.empty() ? "" : " (" + trouble + ")");
  }

  HttpResponse send_once(const HttpRequest& request, SteadyClock::time_point deadline) {
    const pplx::cancellation_token_source cancel;
    http::http_response answer = open(request, cancel, deadline);
    return whole(answer, request, cancel, deadline);
  }

  http::http_response open(const HttpRequest& request, const pplx::cancellation_token_source& cancel,
                           SteadyClock::time_point deadline) {
    http::http_request message(request.method);
    message.set_request_uri(web::uri(request.target));
    message.headers().add("Accept", "application/json");
    message.headers().add("User-Agent", options_.user_agent);
    if (!config_.tls_server_name.empty()) message.headers().add("Host", config_.tls_server_name);
    if (const std::string proof = credentials_->authorization(); !proof.empty()) {
      message.headers().add("Authorization", proof);
    }
    if (!request.content_type.empty()) message.set_body(request.body, request.content_type);
    return await(client_.request(message, cancel.get_token()), cancel, deadline, request.stop, "no answer in time");
  }

  static HttpResponse head(const http::http_response& answer) {
    HttpResponse response;
    response.status = answer.status_code();
    if (const auto it = answer.headers().find("Retry-After"); it != answer.headers().end()) {
      response.retry_after = it->second;
    }
    return response;
  }

  static HttpResponse whole(http::http_response& answer, const HttpRequest& request,
                            const pplx::cancellation_token_source& cancel, SteadyClock::time_point deadline) {
    HttpResponse response = head(answer);
    const std::vector<unsigned char> body =
        await(answer.extract_vector(), cancel, deadline, request.stop, "the answer did not end in time");
    response.body.assign(body.begin(), body.end());
    return response;
  }

  // Blocks for one byte, then takes what else is there.
  static void read_pieces(const http::http_response& answer, const HttpRequest& request, const StreamLimits& limits,
                          const pplx::cancellation_token_source& cancel,
                          const std::function<void(std::string_view)>& on_bytes) {
    auto buffer = answer.body().streambuf();
    const auto end = SteadyClock::now() + limits.total;
    std::vector<unsigned char> piece;
    while (true) {
      const auto deadline = std::min(SteadyClock::now() + limits.silence, end);
      const auto first = await(buffer.bumpc(), cancel, deadline, request.stop, "the stream is silent");
      if (first == decltype(buffer)::traits::eof()) return;
      piece.resize(1 + buffer.in_avail());
      piece[0] = static_cast<unsigned char>(first);
      if (piece.size() > 1) {
        const auto more = buffer.getn(piece.data() + 1, piece.size() - 1);
        piece.resize(1 + await(more, cancel, deadline, request.stop, "the stream is silent"));
      }
      on_bytes({reinterpret_cast<const char*>(piece.data()), piece.size()});
    }
  }

  const ClusterConfig config_;
  const ClientOptions options_;
  // Shared with connections of the library that may outlive this object for a moment.
  const std::shared_ptr<Credentials> credentials_;
  const std::shared_ptr<TlsTrouble> trouble_;
  http::client::http_client client_;
};

}  // namespace

std::unique_ptr<Transport> make_transport(const ClusterConfig& config, const ClientOptions& options) {
  start_threads();
  return std::make_unique<CpprestTransport>(config, options);
}

std::unique_ptr<Client> connect(const ClusterConfig& config, const ClientOptions& options) {
  return std::make_unique<RestClient>(make_transport(config, options), config.server, options);
}

}  // namespace millrace::controller::kube
