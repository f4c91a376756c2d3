// The server's and the client's TLS against each other, with certificates made for the test.
#include "common/http_tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <future>

#include "common/http_client.h"
#include "common/http_server.h"
#include "tests/support/certificates.h"
#include "tests/support/fault.h"
#include "tests/support/mounted_secret.h"

namespace millrace::common {
namespace {

namespace net = boost::asio;
using net::ip::tcp;
using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

const test::CertificateAuthority& authority() {
  static const test::CertificateAuthority made;
  return made;
}

HttpReply echo_body(HttpRequest request) {
  return HttpResponse{.body = request.method + " " + request.path + " " + request.body, .content_type = "text/plain"};
}

class HttpTls : public ::testing::Test {
 protected:
  HttpServerOptions options() const {
    HttpServerOptions options;
    options.tls = TlsServerFiles{secret_.file("tls.crt"), secret_.file("tls.key"), milliseconds(0)};
    return options;
  }
  static HttpCall call(const HttpServer& server, const TlsClientSettings& settings) {
    HttpCall call;
    call.host = "127.0.0.1";
    call.port = server.port();
    call.target = "/hello";
    call.tls = make_tls_client(settings);
    return call;
  }
  // Everything until the server closes.
  static std::string exchange(const HttpServer& server, const std::string& sent) {
    net::io_context context;
    tcp::socket socket(context);
    socket.connect({net::ip::make_address("127.0.0.1"), server.port()});
    net::write(socket, net::buffer(sent));
    std::string received;
    boost::system::error_code ec;
    net::read(socket, net::dynamic_buffer(received), ec);
    return received;
  }

  test::MountedSecret secret_{authority().issue("chat.prod.svc")};
  static TlsClientSettings trusting(const test::CertificateAuthority& whom) {
    return {.ca_pem = whom.pem(), .server_name = "chat.prod.svc"};
  }
  const TlsClientSettings trusting_ = trusting(authority());
};

TEST_F(HttpTls, AClientThatTrustsTheAuthorityIsAnswered) {
  HttpServer server(options(), echo_body);
  HttpCall question = call(server, trusting_);
  question.method = "POST";
  question.body = std::string(1 << 20, 'x');
  EXPECT_EQ(http_call(question).body, "POST /hello " + question.body);
}

TEST_F(HttpTls, StreamsAndNoticesThatTheClientLeft) {
  std::promise<void> left;
  HttpServer server(options(), [&](HttpRequest) -> HttpReply {
    return HttpDeferred([&](std::shared_ptr<HttpWriter> writer) {
      writer->begin({.status = 200, .body = "one"});
      writer->on_disconnect([&left, writer] { left.set_value(); });
    });
  });
  std::string received;
  http_stream(call(server, trusting_), [&](std::string_view piece) {
    received += piece;
    return false;
  });
  EXPECT_EQ(received, "one");
  EXPECT_EQ(left.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
}

TEST_F(HttpTls, AnotherAuthorityIsNotTrusted) {
  HttpServer server(options(), echo_body);
  const test::CertificateAuthority other;
  const test::Fault fault = test::fault_of([&] { http_call(call(server, trusting(other))); });
  EXPECT_EQ(fault.code, Code::kUnavailable);
  EXPECT_THAT(fault.message, AllOf(HasSubstr("GET https://127.0.0.1:"), HasSubstr("certificate verify failed"),
                                   HasSubstr("unable to get local issuer certificate")));
}

TEST_F(HttpTls, AnotherNameIsNotTrusted) {
  HttpServer server(options(), echo_body);
  const auto refusal = [&](const TlsClientSettings& settings) {
    return test::fault_of([&] { http_call(call(server, settings)); }).message;
  };
  EXPECT_THAT(refusal({.ca_pem = authority().pem(), .server_name = "other.prod.svc"}), HasSubstr("hostname mismatch"));
  EXPECT_THAT(refusal({.ca_pem = authority().pem()}), HasSubstr("IP address mismatch"))
      << "the address that is called is not in the certificate";
  EXPECT_THAT(refusal({}), HasSubstr("certificate verify failed")) << "the system's bundle";
}

TEST_F(HttpTls, TheCertificateItselfMayBeWhatIsTrusted) {
  const auto files = authority().issue("chat.prod.svc");
  secret_.replace(files);
  HttpServer server(options(), echo_body);
  const TlsClientSettings pinned{.ca_pem = files.at("tls.crt"), .system_bundle = true, .server_name = "chat.prod.svc"};
  EXPECT_EQ(http_call(call(server, pinned)).status, 200);
}

TEST_F(HttpTls, AClientThatDoesNotVerifyTakesAnyCertificate) {
  HttpServer server(options(), echo_body);
  EXPECT_EQ(http_call(call(server, {.verify = false})).status, 200);
}

TEST_F(HttpTls, PlainHttpIsClosedWithoutAnAnswer) {
  HttpServer server(options(), echo_body);
  EXPECT_THAT(exchange(server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Not(HasSubstr("HTTP/1.1")));
  EXPECT_EQ(http_call(call(server, trusting_)).status, 200) << "the next one is served";
}

TEST_F(HttpTls, TlsToAPlainPortIsRefused) {
  HttpServer server({}, echo_body);
  EXPECT_EQ(test::fault_of([&] { http_call(call(server, trusting_)); }).code, Code::kUnavailable);
}

TEST_F(HttpTls, AHandshakeThatTakesTooLongIsEnded) {
  HttpServerOptions hasty = options();
  hasty.header_timeout = milliseconds(50);
  HttpServer server(hasty, echo_body);
  EXPECT_EQ(exchange(server, std::string("\x16\x03\x01", 3)), "") << "closed, where a whole header would be waited for";
}

TEST_F(HttpTls, ARenewedCertificateIsServedWithoutARestart) {
  HttpServer server(options(), echo_body);
  const test::CertificateAuthority next;
  EXPECT_EQ(http_call(call(server, trusting_)).status, 200);
  secret_.replace(next.issue("chat.prod.svc"));
  EXPECT_EQ(http_call(call(server, trusting(next))).status, 200);
  EXPECT_EQ(test::fault_of([&] { http_call(call(server, trusting_)); }).code, Code::kUnavailable);
}

TEST_F(HttpTls, ARenewalThatIsOfNoUseKeepsTheCertificateBefore) {
  HttpServer server(options(), echo_body);
  auto mixed = authority().issue("chat.prod.svc");
  mixed["tls.key"] = authority().issue("chat.prod.svc")["tls.key"];
  secret_.replace(mixed);
  EXPECT_EQ(http_call(call(server, trusting_)).status, 200);
  const test::CertificateAuthority next;
  secret_.replace(next.issue("chat.prod.svc"));
  EXPECT_EQ(http_call(call(server, trusting(next))).status, 200);
}

TEST_F(HttpTls, FilesThatAreOfNoUseAreNamed) {
  const auto refusal = [&](const std::map<std::string, std::string>& files) {
    secret_.replace(files);
    return test::fault_of([&] { HttpServer(options(), echo_body); }).message;
  };
  auto files = authority().issue("a");
  EXPECT_THAT(refusal({{"tls.crt", files["tls.crt"]}}), AllOf(HasSubstr("TLS key"), HasSubstr("tls.key")));
  EXPECT_THAT(refusal({{"tls.crt", "x"}, {"tls.key", files["tls.key"]}}), HasSubstr("is no certificate in PEM"));
  EXPECT_THAT(refusal({{"tls.crt", files["tls.crt"]}, {"tls.key", "x"}}), HasSubstr("is no private key in PEM"));
  EXPECT_THAT(refusal({{"tls.crt", files["tls.crt"]}, {"tls.key", authority().issue("a")["tls.key"]}}),
              HasSubstr("does not belong to the certificate"));
  EXPECT_EQ(test::fault_of([] { make_tls_client({.ca_pem = "x"}); }).code, Code::kInvalidArgument);
}

TEST_F(HttpTls, FinishesAnswersInProgressBeforeItStops) {
  std::promise<std::shared_ptr<HttpWriter>> asked;
  HttpServer server(options(), [&](HttpRequest) -> HttpReply {
    return HttpDeferred([&](std::shared_ptr<HttpWriter> writer) { asked.set_value(std::move(writer)); });
  });
  auto answer = std::async(std::launch::async, [&] { return http_call(call(server, trusting_)).body; });
  const std::shared_ptr<HttpWriter> writer = asked.get_future().get();
  auto stopping = std::async(std::launch::async, [&] { server.stop(std::chrono::seconds(20)); });
  writer->respond({.body = "done"});
  EXPECT_EQ(answer.get(), "done");
  stopping.get();
  EXPECT_EQ(server.connections(), 0U);
}

TEST_F(HttpTls, SurvivesConnectionsDroppedAtAnyByteOfTheHandshake) {
  HttpServer server(options(), echo_body);
  for (int size = 0; size < 200; ++size) {
    net::io_context context;
    tcp::socket socket(context);
    socket.connect({net::ip::make_address("127.0.0.1"), server.port()});
    net::write(socket, net::buffer(std::string("\x16\x03\x01\x02\x00\x01", 6) + std::string(size, '\1')));
  }
  EXPECT_EQ(http_call(call(server, trusting_)).status, 200);
}

}  // namespace
}  // namespace millrace::common
