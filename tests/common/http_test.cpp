// Answers as bytes, events, and the buffer between handler and session: all without sockets.
#include <gtest/gtest.h>

#include "common/http.h"
#include "common/http_exchange.h"
#include "common/sse.h"

namespace millrace::common {
namespace {

TEST(HttpHead, HeadersCannotBeInjectedThroughValues) {
  HttpResponse response;
  response.body = "hi";
  response.headers = {{"X-Name", "a\r\nX-Evil: b"}};
  EXPECT_EQ(format_http_head(response, HttpFraming::kLength, true),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: keep-alive\r\n"
            "X-Name: aX-Evil: b\r\n\r\n");
}

TEST(HttpHead, ChunksCarryTheirSizeInHexadecimal) {
  EXPECT_EQ(format_http_chunk(std::string(17, 'x')), "11\r\n" + std::string(17, 'x') + "\r\n");
  EXPECT_EQ(format_http_chunk(""), "");
}

TEST(HttpHeaders, AreFoundWithoutCase) {
  const HttpHeaders headers = {{"Content-TYPE", "x"}};
  EXPECT_EQ(find_header(headers, "content-type"), "x");
  EXPECT_EQ(find_header(headers, "content"), "");
}

TEST(PercentDecode, LeavesAloneWhatIsNoEscape) {
  EXPECT_EQ(percent_decode("Qwen%2FQwen3.5-9B"), "Qwen/Qwen3.5-9B");
  EXPECT_EQ(percent_decode("100%25 %zz %4"), "100% %zz %4");
  EXPECT_EQ(percent_decode("%"), "%");
}

TEST(Sse, EventsAreReadFromPiecesOfAnySize) {
  const std::string stream = ": comment\r\ndata: one\r\n\r\nevent: x\ndata:two\ndata: three\n\n" + format_sse("[DONE]");
  const std::vector<std::string> expected = {"one", "two\nthree", "[DONE]"};
  for (std::size_t size = 1; size <= stream.size(); ++size) {
    SseParser parser;
    std::vector<std::string> events;
    for (std::size_t i = 0; i < stream.size(); i += size) {
      for (auto& event : parser.feed(std::string_view(stream).substr(i, size))) events.push_back(std::move(event));
    }
    EXPECT_EQ(events, expected) << size;
  }
}

struct Exchange {
  int notified = 0;
  std::shared_ptr<HttpExchange> exchange = std::make_shared<HttpExchange>(8, [this] { ++notified; });
  std::shared_ptr<HttpWriter> writer = HttpExchange::writer(exchange);
};

TEST(HttpExchange, StreamsPiecesInOrder) {
  Exchange e;
  e.writer->begin({.body = "head"});
  EXPECT_TRUE(e.writer->write("ab"));
  EXPECT_TRUE(e.writer->write("cd"));
  auto output = e.exchange->take();
  ASSERT_TRUE(output.head);
  EXPECT_TRUE(output.streamed);
  EXPECT_EQ(output.data, "abcd");
  EXPECT_FALSE(output.ended);
  e.writer->end();
  output = e.exchange->take();
  EXPECT_FALSE(output.head);
  EXPECT_TRUE(output.ended);
  EXPECT_EQ(e.notified, 4);
}

TEST(HttpExchange, DropsAClientThatDoesNotRead) {
  Exchange e;
  bool left = false;
  e.writer->on_disconnect([&left] { left = true; });
  e.writer->begin({});
  EXPECT_TRUE(e.writer->write("12345678"));
  EXPECT_FALSE(e.writer->write("9"));
  EXPECT_TRUE(left);
  EXPECT_TRUE(e.exchange->take().failed);
  EXPECT_FALSE(e.writer->write("more"));
}

TEST(HttpExchange, TellsOnceThatTheClientHasLeft) {
  Exchange e;
  int left = 0;
  e.writer->on_disconnect([&left] { ++left; });
  e.exchange->client_gone();
  e.exchange->client_gone();
  EXPECT_EQ(left, 1);
  e.writer->on_disconnect([&left] { ++left; });
  EXPECT_EQ(left, 2) << "a late listener is told at once";
}

TEST(HttpExchange, SaysNothingWhenTheClientLeavesAfterTheAnswer) {
  Exchange e;
  bool left = false;
  e.writer->on_disconnect([&left] { left = true; });
  e.writer->respond({.body = "done"});
  e.exchange->client_gone();
  EXPECT_FALSE(left);
}

TEST(HttpExchange, AForgottenRequestIsAnsweredAnyway) {
  Exchange e;
  e.writer.reset();
  EXPECT_TRUE(e.exchange->take().dropped);
}

TEST(HttpExchange, AForgottenStreamIsCut) {
  Exchange e;
  e.writer->begin({});
  e.writer.reset();
  EXPECT_TRUE(e.exchange->take().failed);
}

}  // namespace
}  // namespace millrace::common
