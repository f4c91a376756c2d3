#include "common/http_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "common/descriptor_limit.h"
#include "common/http_server.h"

namespace millrace::common {
namespace {

namespace net = boost::asio;
using net::ip::tcp;
using std::chrono::milliseconds;
using std::chrono::minutes;
using ::testing::HasSubstr;

constexpr std::chrono::seconds kLimit{60};  // only against hanging

HttpCall call_to(const std::string& host, std::uint16_t port, const std::string& target = "/") {
  HttpCall call;
  call.host = host;
  call.port = port;
  call.target = target;
  call.timeout = minutes(10);
  return call;
}

std::future<HttpResult> start(HttpPool& pool, HttpCall call) {
  auto promise = std::make_shared<std::promise<HttpResult>>();
  std::future<HttpResult> result = promise->get_future();
  pool.call(std::move(call), [promise](HttpResult answer) { promise->set_value(std::move(answer)); });
  return result;
}

HttpResult ask(HttpPool& pool, HttpCall call) {
  std::future<HttpResult> result = start(pool, std::move(call));
  if (result.wait_for(kLimit) != std::future_status::ready)
    return {{}, Error(Code::kInternal, "the test hangs"), false};
  return result.get();
}

// Peers whose connection ended, as they are told.
class Losses {
 public:
  HttpPoolOptions options() {
    HttpPoolOptions options;
    options.on_lost = [this](const HttpPeer& peer, milliseconds silent_for) {
      const std::lock_guard lock(mutex_);
      peers_.push_back(peer);
      silences_.push_back(silent_for);
      changed_.notify_all();
    };
    return options;
  }
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLimit, [&] { return peers_.size() >= count; });
  }
  std::vector<HttpPeer> peers() {
    const std::lock_guard lock(mutex_);
    return peers_;
  }
  milliseconds silence() {
    const std::lock_guard lock(mutex_);
    return silences_.at(0);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<HttpPeer> peers_;
  std::vector<milliseconds> silences_;
};

// A listener whose connections the test serves itself, byte by byte.
class RawPeer {
 public:
  explicit RawPeer(const std::string& host = "127.0.0.1", std::uint16_t port = 0)
      : acceptor_(context_, {net::ip::make_address(host), port}) {}

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  tcp::socket accept() { return acceptor_.accept(); }

  // Reads one request and answers with these bytes.
  static void answer(tcp::socket& socket, const std::string& bytes) {
    net::streambuf request;
    net::read_until(socket, request, "\r\n\r\n");
    net::write(socket, net::buffer(bytes));
  }

 private:
  net::io_context context_;
  tcp::acceptor acceptor_;
};

HttpReply say_path(const HttpRequest& request) {
  return HttpResponse{.status = request.path == "/missing" ? 404 : 200,
                      .body = request.method + request.path + request.body};
}

TEST(HttpPool, AsksAgainOverTheSameConnection) {
  HttpServer server({}, say_path);
  HttpPool pool({});
  for (int i = 0; i < 20; ++i) {
    const HttpResult result = ask(pool, call_to("127.0.0.1", server.port(), "/" + std::to_string(i)));
    ASSERT_FALSE(result.error) << result.error->what();
    EXPECT_EQ(result.response.body, "GET/" + std::to_string(i));
    EXPECT_TRUE(result.kept);
  }
  EXPECT_EQ(pool.connects(), 1U);
  EXPECT_EQ(server.connections(), 1U);
}

TEST(HttpPool, SendsBodiesAndReturnsAnyStatus) {
  HttpServer server({}, say_path);
  HttpPool pool({});
  HttpCall call = call_to("127.0.0.1", server.port(), "/missing");
  call.method = "PUT";
  call.body = "{}";
  const HttpResult result = ask(pool, call);
  EXPECT_EQ(result.response.status, 404);
  EXPECT_EQ(result.response.body, "PUT/missing{}");
  call.method = "POST";
  call.body = "";
  EXPECT_EQ(ask(pool, call).response.body, "POST/missing");
  EXPECT_EQ(pool.connects(), 1U);
}

TEST(HttpPool, AnswersToOnePeerComeInTheOrderOfTheCalls) {
  HttpServer server({}, say_path);
  HttpPool pool({});
  std::vector<std::future<HttpResult>> results;
  for (int i = 0; i < 50; ++i) {
    results.push_back(start(pool, call_to("127.0.0.1", server.port(), "/" + std::to_string(i))));
  }
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(results[static_cast<std::size_t>(i)].get().response.body, "GET/" + std::to_string(i));
  EXPECT_EQ(pool.connects(), 1U);
}

TEST(HttpPool, ReadsAnAnswerThatComesInPieces) {
  HttpServer server({}, [](const HttpRequest&) -> HttpReply {
    return HttpDeferred([](const std::shared_ptr<HttpWriter>& writer) {
      writer->begin({.body = "one "});
      writer->write("two ");
      writer->write(std::string(20'000, 'x'));
      writer->end();
    });
  });
  HttpPool pool({});
  const HttpResult result = ask(pool, call_to("127.0.0.1", server.port()));
  EXPECT_EQ(result.response.body, "one two " + std::string(20'000, 'x'));
  EXPECT_TRUE(result.kept);
}

TEST(HttpPool, TellsWhenAKeptConnectionEnds) {
  Losses losses;
  HttpPool pool(losses.options());
  auto server = std::make_unique<HttpServer>(HttpServerOptions{}, say_path);
  const std::uint16_t port = server->port();
  ASSERT_TRUE(ask(pool, call_to("127.0.0.1", port)).kept);
  server.reset();
  ASSERT_TRUE(losses.wait_for(1));
  EXPECT_EQ(losses.peers().at(0), (HttpPeer{"127.0.0.1", port}));
  EXPECT_EQ(losses.silence(), milliseconds(0)) << "the peer said so itself";
  EXPECT_EQ(pool.connections(), 0U);
}

TEST(HttpPool, AsksOnceMoreWhenThePeerClosedTheConnectionJustThen) {
  RawPeer peer;
  HttpPool pool({});
  std::thread serving([&] {
    tcp::socket first = peer.accept();
    RawPeer::answer(first, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
    net::streambuf request;
    net::read_until(first, request, "\r\n\r\n");
    first.close();  // without an answer
    tcp::socket second = peer.accept();
    RawPeer::answer(second, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
  });
  EXPECT_EQ(ask(pool, call_to("127.0.0.1", peer.port())).response.body, "a");
  EXPECT_EQ(ask(pool, call_to("127.0.0.1", peer.port())).response.body, "b");
  serving.join();
  EXPECT_EQ(pool.connects(), 2U);
}

TEST(HttpPool, DoesNotKeepAConnectionThatThePeerWantsToClose) {
  RawPeer peer;
  Losses losses;
  HttpPool pool(losses.options());
  std::thread serving([&] {
    tcp::socket socket = peer.accept();
    RawPeer::answer(socket, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end");
  });
  const HttpResult result = ask(pool, call_to("127.0.0.1", peer.port()));
  serving.join();
  EXPECT_EQ(result.response.body, "to the end");
  EXPECT_FALSE(result.kept);
  EXPECT_TRUE(losses.peers().empty());
}

TEST(HttpPool, KeepsNoMoreConnectionsThanItMay) {
  HttpServer first({}, say_path);
  HttpServer second({}, say_path);
  HttpPoolOptions options;
  options.max_kept = 1;
  HttpPool pool(options);
  EXPECT_TRUE(ask(pool, call_to("127.0.0.1", first.port())).kept);
  EXPECT_FALSE(ask(pool, call_to("127.0.0.1", second.port())).kept);
  EXPECT_TRUE(ask(pool, call_to("127.0.0.1", first.port())).kept);
}

TEST(HttpPool, ForgetsAPeerWithoutTellingOfIt) {
  Losses losses;
  HttpServer server({}, say_path);
  HttpPool pool(losses.options());
  ASSERT_TRUE(ask(pool, call_to("127.0.0.1", server.port())).kept);
  pool.forget({"127.0.0.1", server.port()});
  ASSERT_TRUE(ask(pool, call_to("127.0.0.1", server.port())).kept);
  EXPECT_EQ(pool.connects(), 2U);
  EXPECT_TRUE(losses.peers().empty());
}

TEST(HttpPool, SaysWhyThereIsNoAnswer) {
  HttpPool pool({});
  RawPeer peer;
  HttpCall silent = call_to("127.0.0.1", peer.port(), "/x");
  silent.timeout = milliseconds(50);
  const HttpResult late = ask(pool, silent);
  EXPECT_EQ(late.error->code(), Code::kDeadlineExceeded);
  EXPECT_THAT(late.error->what(), HasSubstr("GET http://127.0.0.1:" + std::to_string(peer.port()) + "/x"));
  std::uint16_t nobody = 0;
  nobody = RawPeer().port();
  EXPECT_EQ(ask(pool, call_to("127.0.0.1", nobody)).error->code(), Code::kUnavailable);
  EXPECT_EQ(ask(pool, call_to("name.invalid", 80)).error->code(), Code::kInvalidArgument);
}

TEST(HttpPool, RefusesAnswersThatAreTooLargeOrNoHttp) {
  HttpServer server({}, [](const HttpRequest&) -> HttpReply { return HttpResponse{.body = std::string(100, 'x')}; });
  HttpPool pool({});
  HttpCall call = call_to("127.0.0.1", server.port());
  call.max_body_bytes = 99;
  EXPECT_EQ(ask(pool, call).error->code(), Code::kResourceExhausted);
  RawPeer peer;
  std::thread serving([&] {
    tcp::socket socket = peer.accept();
    RawPeer::answer(socket, "SSH-2.0-who\r\n\r\n");
  });
  EXPECT_EQ(ask(pool, call_to("127.0.0.1", peer.port())).error->code(), Code::kUnavailable);
  serving.join();
}

TEST(HttpPool, AStopEndsWhatRunsAndWhatIsToCome) {
  std::stop_source stop;
  HttpPoolOptions options;
  options.stop = stop.get_token();
  HttpPool pool(options);
  RawPeer peer;
  std::future<HttpResult> running = start(pool, call_to("127.0.0.1", peer.port()));
  std::future<HttpResult> waiting = start(pool, call_to("127.0.0.1", peer.port()));
  const tcp::socket socket = peer.accept();
  stop.request_stop();
  EXPECT_EQ(running.get().error->code(), Code::kCancelled);
  EXPECT_EQ(waiting.get().error->code(), Code::kCancelled);
  EXPECT_EQ(ask(pool, call_to("127.0.0.1", peer.port())).error->code(), Code::kCancelled);
}

TEST(HttpPool, ItsEndEndsWhatRuns) {
  RawPeer peer;
  auto pool = std::make_unique<HttpPool>(HttpPoolOptions{});
  std::future<HttpResult> running = start(*pool, call_to("127.0.0.1", peer.port()));
  pool.reset();
  EXPECT_EQ(running.get().error->code(), Code::kCancelled);
}

// Peers that take a connection, and never say a word.
class BlackHoles {
 public:
  explicit BlackHoles(int count) {
    raise_descriptor_limit();
    for (int i = 0; i < count; ++i) peers_.push_back(std::make_unique<RawPeer>());
  }
  const std::vector<std::unique_ptr<RawPeer>>& peers() const { return peers_; }

 private:
  std::vector<std::unique_ptr<RawPeer>> peers_;
};

TEST(HttpPool, FiveHundredSilentPeersDelayNobody) {
  const BlackHoles holes(500);
  HttpServer server({}, say_path);
  HttpPool pool({});
  std::vector<std::future<HttpResult>> silent;
  for (const auto& peer : holes.peers()) silent.push_back(start(pool, call_to("127.0.0.1", peer->port())));
  const HttpResult result = ask(pool, call_to("127.0.0.1", server.port(), "/live"));
  EXPECT_EQ(result.response.body, "GET/live");
  for (const auto& other : silent) EXPECT_EQ(other.wait_for(milliseconds(0)), std::future_status::timeout);
}

TEST(HttpPool, ConnectsToNoMorePeersAtATimeThanItMay) {
  HttpPoolOptions options;
  options.max_connecting = 1;
  HttpPool pool(options);
  const BlackHoles holes(3);
  std::vector<std::future<HttpResult>> silent;
  // They are connected to one after another; none waits for another's answer.
  for (const auto& peer : holes.peers()) silent.push_back(start(pool, call_to("127.0.0.1", peer->port())));
  for (const auto& peer : holes.peers()) EXPECT_TRUE(peer->accept().is_open());
}

}  // namespace
}  // namespace millrace::common
