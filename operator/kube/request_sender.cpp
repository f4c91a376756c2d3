#include "operator/kube/request_sender.h"

#include <algorithm>
#include <utility>

#include "common/stop.h"
#include "operator/kube/api_error.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

// A server that asks for a longer pause is left to the caller's own back-off.
constexpr milliseconds kLongestPause{10'000};

// nullopt: do not try again.
std::optional<milliseconds> pause_before_retry(int status, std::string_view retry_after, milliseconds backoff) {
  if (status != 429 && status != 500 && status != 502 && status != 503 && status != 504) return std::nullopt;
  const milliseconds pause = std::max(backoff, parse_retry_after(retry_after).value_or(milliseconds(0)));
  if (pause > kLongestPause) return std::nullopt;
  return pause;
}

}  // namespace

RequestSender::RequestSender(std::unique_ptr<Transport> transport, std::string host, ClientOptions options)
    : transport_(std::move(transport)), host_(std::move(host)), options_(std::move(options)) {}

HttpResponse RequestSender::send(HttpRequest request, Repeat repeat, std::optional<milliseconds> limit) const {
  const common::EitherStop either(request.stop, options_.stop);
  request.stop = either.token();
  request.limit = limit.value_or(options_.request_limit);
  milliseconds backoff = options_.first_retry;
  for (int attempt = 1;; ++attempt, backoff *= 2) {
    const bool last = attempt >= options_.attempts || repeat == Repeat::kNever;
    std::optional<milliseconds> pause;
    try {
      HttpResponse response = send_once(request);
      const bool worth_it = response.status == 429 || repeat == Repeat::kSafe;
      if (!last && worth_it) pause = pause_before_retry(response.status, response.retry_after, backoff);
      if (!pause) return response;
    } catch (const ApiError& error) {
      if (last || repeat != Repeat::kSafe || error.code() != Code::kUnavailable) throw;
      pause = backoff;
    }
    if (!common::sleep_unless_stopped(*pause, request.stop)) throw ApiError(Code::kCancelled, 0, "", "stopped");
  }
}

HttpResponse RequestSender::send_once(const HttpRequest& request) const {
  const auto begin = SteadyClock::now();
  try {
    HttpResponse response = transport_->send(request);
    report(request.method, response.status, begin);
    return response;
  } catch (...) {
    report(request.method, 0, begin);
    throw;
  }
}

HttpResponse RequestSender::stream(HttpRequest request, milliseconds expected,
                                   const std::function<void(std::string_view)>& on_bytes) const {
  const common::EitherStop either(request.stop, options_.stop);
  request.stop = either.token();
  request.limit = options_.request_limit;
  const StreamLimits limits{options_.silence_limit, expected + options_.request_limit};
  const auto begin = SteadyClock::now();
  bool reported = false;
  const auto report_once = [&](int status) {
    if (!std::exchange(reported, true)) report(request.method, status, begin);
  };
  try {
    HttpResponse response = transport_->stream(request, limits, [&](std::string_view bytes) {
      report_once(200);
      on_bytes(bytes);
    });
    report_once(response.status);
    return response;
  } catch (...) {
    report_once(0);
    throw;
  }
}

void RequestSender::report(const std::string& method, int status, SteadyClock::time_point begin) const {
  if (options_.observer) options_.observer->request_done(method, host_, status, SteadyClock::now() - begin);
}

}  // namespace millrace::controller::kube
