// Real sockets on the loopback interface: half requests, slow readers, vanishing clients, limits, deadlines.
#include "common/http_server.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <condition_variable>
#include <future>
#include <mutex>

#include "common/error.h"
#include "common/http_client.h"

namespace millrace::common {
namespace {

namespace net = boost::asio;
using net::ip::tcp;
using std::chrono::milliseconds;
constexpr std::chrono::seconds kPatience{20};

// A raw client: what a test writes is what goes out.
class Client {
 public:
  explicit Client(std::uint16_t port) { socket_.connect({net::ip::make_address("127.0.0.1"), port}); }

  void send(const std::string& bytes) { net::write(socket_, net::buffer(bytes)); }

  // Everything until the server closes.
  std::string read_all() {
    std::string bytes;
    boost::system::error_code ec;
    net::read(socket_, net::dynamic_buffer(bytes), ec);
    return bytes;
  }

  // Until `end` has been seen.
  std::string read_until(const std::string& end) {
    std::string bytes;
    boost::system::error_code ec;
    while (bytes.find(end) == std::string::npos && !ec) {
      char piece[4096];
      const std::size_t size = socket_.read_some(net::buffer(piece), ec);
      bytes.append(piece, size);
    }
    return bytes;
  }

  void close() { socket_.close(); }
  void shrink_receive_buffer() { socket_.set_option(net::socket_base::receive_buffer_size(4096)); }

 private:
  net::io_context context_;
  tcp::socket socket_{context_};
};

HttpReply echo(HttpRequest request) {
  HttpResponse response;
  response.content_type = "text/plain";
  response.body = request.method + " " + request.path + " " + request.body;
  return response;
}

// Waits until `condition` holds, woken by change().
class Signal {
 public:
  void change(const std::function<void()>& action) {
    const std::lock_guard lock(mutex_);
    action();
    changed_.notify_all();
  }
  bool wait(const std::function<bool()>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, condition);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

std::string get(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n";
}

TEST(HttpServer, AnswersSeveralRequestsOnOneConnection) {
  HttpServer server({}, echo);
  Client client(server.port());
  client.send(get("/one?q=1"));
  EXPECT_NE(client.read_until("GET /one ").find("HTTP/1.1 200 OK"), std::string::npos);
  client.send("POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_NE(client.read_until("POST /two hi").find("keep-alive"), std::string::npos);
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  HttpServer server({}, echo);
  Client client(server.port());
  client.send(get("/1") + get("/2") + "GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string all = client.read_all();
  EXPECT_LT(all.find("GET /1"), all.find("GET /2"));
  EXPECT_LT(all.find("GET /2"), all.find("GET /3"));
  EXPECT_NE(all.find("GET /3"), std::string::npos);
}

TEST(HttpServer, ReadsARequestThatArrivesByteByByte) {
  HttpServer server({}, echo);
  Client client(server.port());
  for (const char c : std::string("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")) {
    client.send(std::string(1, c));
  }
  EXPECT_NE(client.read_until("POST /p abc").find("200 OK"), std::string::npos);
}

TEST(HttpServer, SendsNoBodyForHead) {
  HttpServer server({}, echo);
  Client client(server.port());
  client.send("HEAD /h HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string all = client.read_all();
  EXPECT_NE(all.find("Content-Length: 8"), std::string::npos);
  EXPECT_TRUE(all.ends_with("\r\n\r\n"));
}

TEST(HttpServer, AsksForABodyThatWaitsForContinue) {
  HttpServer server({}, echo);
  Client client(server.port());
  client.send("POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("ok");
  EXPECT_NE(client.read_until("POST /c ok").find("200 OK"), std::string::npos);
}

TEST(HttpServer, RefusesWhatIsTooLargeOrNotHttp) {
  HttpServerOptions options;
  options.max_body_bytes = 10;
  options.max_header_bytes = 256;
  HttpServer server(options, echo);
  const auto answer = [&](const std::string& bytes) {
    Client client(server.port());
    client.send(bytes);
    return client.read_all();
  };
  EXPECT_TRUE(answer("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n").starts_with("HTTP/1.1 413 "));
  EXPECT_TRUE(answer("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n")
                  .starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(answer("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n")
                  .starts_with("HTTP/1.1 413 "));
  EXPECT_TRUE(answer("GET / HTTP/1.1\r\nX: " + std::string(300, 'a') + "\r\n\r\n").starts_with("HTTP/1.1 431 "));
  EXPECT_TRUE(answer("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(answer(std::string("\x16\x03\x01\x02\x00\x01\x00", 7) + "\r\n\r\n").starts_with("HTTP/1.1 400 "));
}

TEST(HttpServer, AnAnswerTo413ReachesAClientThatIsStillSending) {
  HttpServerOptions options;
  options.max_body_bytes = 1000;
  HttpServer server(options, echo);
  Client client(server.port());
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + std::string(200000, 'x'));
  EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 413 "));
}

TEST(HttpServer, EndsConnectionsThatStaySilent) {
  HttpServerOptions options;
  options.idle_timeout = milliseconds(50);
  options.header_timeout = milliseconds(50);
  options.body_timeout = milliseconds(50);
  HttpServer server(options, echo);
  Client idle(server.port());
  EXPECT_EQ(idle.read_all(), "");
  Client half_header(server.port());
  half_header.send("GET / HT");
  EXPECT_TRUE(half_header.read_all().starts_with("HTTP/1.1 408 "));
  Client half_body(server.port());
  half_body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_TRUE(half_body.read_all().starts_with("HTTP/1.1 408 "));
}

TEST(HttpServer, HidesWhatAHandlerThrows) {
  HttpServer server({}, [](HttpRequest) -> HttpReply { throw std::runtime_error("secret path"); });
  const HttpResponse response = http_call({.host = "127.0.0.1", .port = server.port()});
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body.find("secret"), std::string::npos);
}

TEST(HttpServer, StreamsWhileTheHandlerProduces) {
  std::promise<std::shared_ptr<HttpWriter>> promise;
  HttpServer server({}, [&](HttpRequest) -> HttpReply {
    return HttpDeferred([&](std::shared_ptr<HttpWriter> writer) { promise.set_value(std::move(writer)); });
  });
  Client client(server.port());
  client.send(get("/"));
  auto writer = promise.get_future().get();
  writer->begin({.body = "first\n", .content_type = "text/event-stream"});
  EXPECT_NE(client.read_until("first\n").find("Transfer-Encoding: chunked"), std::string::npos);
  EXPECT_TRUE(writer->write("second\n"));
  client.read_until("second\n");
  writer->end();
  client.read_until("0\r\n\r\n");
}

TEST(HttpServer, TellsTheHandlerThatTheClientLeft) {
  Signal signal;
  bool left = false;
  std::shared_ptr<HttpWriter> kept;
  HttpServer server({}, [&](HttpRequest) -> HttpReply {
    return HttpDeferred([&](std::shared_ptr<HttpWriter> writer) {
      writer->on_disconnect([&] { signal.change([&] { left = true; }); });
      signal.change([&] { kept = std::move(writer); });
    });
  });
  Client client(server.port());
  client.send(get("/"));
  ASSERT_TRUE(signal.wait([&] { return kept != nullptr; }));
  client.close();
  EXPECT_TRUE(signal.wait([&] { return left; }));
}

TEST(HttpServer, DropsAReaderThatFallsTooFarBehind) {
  HttpServerOptions options;
  options.max_buffered_bytes = 64 << 10;
  Signal signal;
  bool left = false;
  std::promise<std::shared_ptr<HttpWriter>> promise;
  HttpServer server(options, [&](HttpRequest) -> HttpReply {
    return HttpDeferred([&](std::shared_ptr<HttpWriter> writer) {
      writer->on_disconnect([&] { signal.change([&] { left = true; }); });
      promise.set_value(std::move(writer));
    });
  });
  Client client(server.port());
  client.shrink_receive_buffer();
  client.send(get("/"));
  auto writer = promise.get_future().get();
  writer->begin({});
  const std::string piece(16 << 10, 'x');
  int written = 0;
  while (writer->write(piece) && written < 10000) ++written;
  EXPECT_LT(written, 10000);
  EXPECT_TRUE(signal.wait([&] { return left; }));
}

TEST(HttpServer, DropsAReaderThatStopsReading) {
  HttpServerOptions options;
  options.write_timeout = milliseconds(100);
  options.max_buffered_bytes = 64 << 20;
  Signal signal;
  bool left = false;
  std::shared_ptr<HttpWriter> kept;
  HttpServer server(options, [&](HttpRequest) -> HttpReply {
    return HttpDeferred([&](std::shared_ptr<HttpWriter> writer) {
      writer->on_disconnect([&] { signal.change([&] { left = true; }); });
      writer->begin({});
      writer->write(std::string(32 << 20, 'x'));
      kept = std::move(writer);
    });
  });
  Client client(server.port());
  client.shrink_receive_buffer();
  client.send(get("/"));
  EXPECT_TRUE(signal.wait([&] { return left; }));
}

TEST(HttpServer, FinishesAnswersInProgressBeforeItStops) {
  std::promise<std::shared_ptr<HttpWriter>> promise;
  HttpServer server({}, [&](HttpRequest) -> HttpReply {
    return HttpDeferred([&](std::shared_ptr<HttpWriter> writer) { promise.set_value(std::move(writer)); });
  });
  Client idle(server.port());
  Client client(server.port());
  client.send(get("/"));
  auto writer = promise.get_future().get();
  auto stopped = std::async(std::launch::async, [&] { server.stop(kPatience); });
  EXPECT_EQ(idle.read_all(), "") << "idle connections end at once";
  writer->respond({.body = "late"});
  EXPECT_TRUE(client.read_all().ends_with("late"));
  client.close();
  stopped.get();
  EXPECT_THROW(Client{server.port()}, boost::system::system_error);
}

TEST(HttpServer, AWriterMayOutliveTheServer) {
  std::promise<std::shared_ptr<HttpWriter>> promise;
  std::shared_ptr<HttpWriter> writer;
  {
    HttpServer server({}, [&](HttpRequest) -> HttpReply {
      return HttpDeferred([&](std::shared_ptr<HttpWriter> given) { promise.set_value(std::move(given)); });
    });
    Client client(server.port());
    client.send(get("/"));
    writer = promise.get_future().get();
  }
  writer->respond({.body = "nobody listens"});
}

TEST(HttpServer, RefusesConnectionsAboveTheLimit) {
  HttpServerOptions options;
  options.max_connections = 1;
  HttpServer server(options, echo);
  Client first(server.port());
  first.send(get("/1"));
  first.read_until("GET /1");
  Client second(server.port());
  EXPECT_TRUE(second.read_all().starts_with("HTTP/1.1 503 "));
  first.send(get("/2"));
  first.read_until("GET /2");
}

TEST(HttpServer, SurvivesTenThousandConnectionsOpenedAndDropped) {
  HttpServer server({}, echo);
  for (int i = 0; i < 10000; ++i) {
    Client client(server.port());
    if (i % 3 == 1) client.send("GET / HT");
    if (i % 3 == 2) client.send(get("/"));
  }
  EXPECT_EQ(http_call({.host = "127.0.0.1", .port = server.port()}).status, 200);
}

TEST(HttpServer, SaysWhatItCannotListenOn) {
  HttpServer server({}, echo);
  HttpServerOptions options;
  options.port = server.port();
  try {
    HttpServer second(options, echo);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUnavailable);
    EXPECT_NE(std::string(error.what()).find("127.0.0.1 port " + std::to_string(server.port())), std::string::npos);
  }
  options.address = "localhost";
  EXPECT_THROW(HttpServer(options, echo), Error);
}

TEST(HttpClient, ReadsStreamsPieceByPiece) {
  HttpServer server({}, [&](HttpRequest) -> HttpReply {
    return HttpDeferred([&](std::shared_ptr<HttpWriter> writer) {
      writer->begin({.body = "a"});
      writer->write("b");
      writer->end();
    });
  });
  std::string body;
  const auto response = http_stream({.host = "127.0.0.1", .port = server.port()}, [&](std::string_view piece) {
    body += piece;
    return true;
  });
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(body, "ab");
}

TEST(HttpClient, GivesUpAtTheDeadline) {
  std::shared_ptr<HttpWriter> kept;
  HttpServer server({}, [&](HttpRequest) -> HttpReply {
    return HttpDeferred([&](std::shared_ptr<HttpWriter> writer) { kept = std::move(writer); });
  });
  try {
    http_call({.host = "127.0.0.1", .port = server.port(), .timeout = milliseconds(100)});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kDeadlineExceeded);
  }
}

TEST(HttpClient, SaysWhoCannotBeReached) {
  std::uint16_t port = 0;
  {
    HttpServer server({}, echo);
    port = server.port();
  }
  try {
    http_call({.host = "127.0.0.1", .port = port});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUnavailable);
    EXPECT_NE(std::string(error.what()).find("127.0.0.1:" + std::to_string(port)), std::string::npos);
  }
}

}  // namespace
}  // namespace millrace::common
