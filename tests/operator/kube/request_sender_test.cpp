#include "operator/kube/request_sender.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/fault.h"

namespace millrace::controller::kube {
namespace {

using common::Code;

// Answers everything with 503 and tells whoever waits for it.
class BusyTransport : public Transport {
 public:
  HttpResponse send(const HttpRequest&) override {
    asked.test_and_set();
    asked.notify_all();
    return {503, "", ""};
  }
  HttpResponse stream(const HttpRequest& request, const StreamLimits&,
                      const std::function<void(std::string_view)>&) override {
    return send(request);
  }

  std::atomic_flag asked;
};

struct SenderFixture {
  explicit SenderFixture(std::chrono::milliseconds first_retry) {
    auto made = std::make_unique<BusyTransport>();
    transport = made.get();
    ClientOptions options;
    options.first_retry = first_retry;
    options.stop = client_stop.get_token();
    sender = std::make_unique<RequestSender>(std::move(made), "host", options);
  }

  std::stop_source client_stop;
  BusyTransport* transport = nullptr;
  std::unique_ptr<RequestSender> sender;
};

TEST(RequestSender, AStopEndsThePauseBeforeARepetition) {
  for (const bool of_the_client : {true, false}) {
    SenderFixture f(std::chrono::seconds(9));
    std::stop_source request_stop;
    HttpRequest request;
    request.stop = request_stop.get_token();
    std::jthread stopper([&] {
      f.transport->asked.wait(false);
      (of_the_client ? f.client_stop : request_stop).request_stop();
    });
    EXPECT_EQ(test::fault_of([&] { f.sender->send(request, Repeat::kSafe); }).code, Code::kCancelled);
  }
}

TEST(RequestSender, ReturnsTheLastAnswerWhenRepeatingDoesNotHelp) {
  const SenderFixture f(std::chrono::milliseconds(1));
  EXPECT_EQ(f.sender->send({}, Repeat::kSafe).status, 503);
}

}  // namespace
}  // namespace millrace::controller::kube
