#include "operator/local/forwarder.h"

#include <gtest/gtest.h>

#include <atomic>

#include "common/error.h"
#include "common/http_client.h"
#include "common/http_server.h"

namespace millrace::controller::local {
namespace {

std::unique_ptr<common::HttpServer> server_saying(const std::string& text) {
  return std::make_unique<common::HttpServer>(common::HttpServerOptions{},
                                              [text](common::HttpRequest) -> common::HttpReply {
                                                return common::HttpResponse{200, text, "text/plain"};
                                              });
}

common::HttpResponse get(std::uint16_t port) {
  common::HttpCall call;
  call.host = "127.0.0.1";
  call.port = port;
  call.timeout = std::chrono::seconds(20);
  return common::http_call(call);
}

TEST(Forwarder, TakesBackendsInTurn) {
  const auto a = server_saying("a");
  const auto b = server_saying("b");
  Forwarder forwarder("127.0.0.1", 0, [&] {
    return std::vector<Backend>{{"127.0.0.1", a->port()}, {"127.0.0.1", b->port()}};
  });
  EXPECT_EQ(get(forwarder.port()).body + get(forwarder.port()).body + get(forwarder.port()).body, "aba");
}

TEST(Forwarder, AnswersUnavailableWithoutABackend) {
  Forwarder forwarder("127.0.0.1", 0, [] { return std::vector<Backend>{}; });
  const common::HttpResponse response = get(forwarder.port());
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(common::find_header(response.headers, "retry-after"), "1");
}

TEST(Forwarder, AnswersUnavailableWhenTheBackendIsGone) {
  std::uint16_t port = 0;
  {
    const auto gone = server_saying("x");
    port = gone->port();
  }
  Forwarder forwarder("127.0.0.1", 0, [&] { return std::vector<Backend>{{"127.0.0.1", port}}; });
  EXPECT_EQ(get(forwarder.port()).status, 503);
}

TEST(Forwarder, NamesThePortThatIsTaken) {
  const auto server = server_saying("x");
  EXPECT_THROW(Forwarder("127.0.0.1", server->port(), [] { return std::vector<Backend>{}; }), common::Error);
}

}  // namespace
}  // namespace millrace::controller::local
