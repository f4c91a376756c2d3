#include "common/http_client.h"

#include <gtest/gtest.h>

#include "common/http_server.h"
#include "tests/support/fault.h"

namespace millrace::common {
namespace {

using std::chrono::minutes;

// Takes every request, has the stop asked for, and never answers more than it was told to.
class StoppingServer {
 public:
  explicit StoppingServer(bool begins_an_answer)
      : server_({}, [this, begins_an_answer](HttpRequest) -> HttpReply {
          return HttpDeferred([this, begins_an_answer](std::shared_ptr<HttpWriter> writer) {
            if (begins_an_answer) writer->begin({.status = 200, .body = "first"});
            writer_ = std::move(writer);
            if (!begins_an_answer) stop.request_stop();
          });
        }) {}

  HttpCall call() const {
    HttpCall call;
    call.host = "127.0.0.1";
    call.port = server_.port();
    call.timeout = minutes(10);
    call.stop = stop.get_token();
    return call;
  }

  std::stop_source stop;

 private:
  std::shared_ptr<HttpWriter> writer_;
  HttpServer server_;
};

TEST(HttpClient, AStopEndsACallThatWaitsForItsAnswer) {
  StoppingServer server(false);
  EXPECT_EQ(test::fault_of([&] { http_call(server.call()); }).code, Code::kCancelled);
}

TEST(HttpClient, AStopEndsAStreamThatHasGoneSilent) {
  StoppingServer server(true);
  const auto take = [&](std::string_view) {
    server.stop.request_stop();
    return true;
  };
  EXPECT_EQ(test::fault_of([&] { http_stream(server.call(), take); }).code, Code::kCancelled);
}

TEST(HttpClient, ACallThatWasStoppedBeforeConnectsToNobody) {
  StoppingServer server(false);
  server.stop.request_stop();
  EXPECT_EQ(test::fault_of([&] { http_call(server.call()); }).code, Code::kCancelled);
}

}  // namespace
}  // namespace millrace::common
