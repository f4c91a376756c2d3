#include "engine/comm/dialer.h"

#include <algorithm>

#include "common/error.h"
#include "common/stop.h"

namespace millrace::engine {
namespace {

constexpr auto kAttempt = std::chrono::seconds(5);  // longest single attempt
constexpr auto kFirstPause = std::chrono::milliseconds(10);
constexpr auto kLongestPause = std::chrono::milliseconds(500);

[[noreturn]] void fail(const std::string& reason) {
  throw common::Error(common::Code::kUnavailable, reason);
}

void introduce(const Socket& socket, const TcpCommOptions& options, Channel channel, const Deadline& deadline) {
  const HelloBytes hello = encode({.generation = options.generation,
                                   .rank = static_cast<std::uint32_t>(options.rank),
                                   .size = static_cast<std::uint32_t>(options.endpoints.size()),
                                   .channel = channel,
                                   .nonce = make_nonce()});
  socket.write_all(hello, deadline);
  AnswerBytes bytes;
  socket.read_all(bytes, deadline);
  Answer answer;
  if (!decode(bytes, answer)) fail("it does not speak the protocol of this version");
  if (answer.verdict == Verdict::kOtherGeneration) {
    fail("it has generation " + std::to_string(answer.generation) + ", not " + std::to_string(options.generation));
  }
  if (answer.verdict != Verdict::kWelcome) fail("it refused: " + to_string(answer.verdict));
  if (!same_proof(answer.proof, make_proof(options.secret, Side::kAcceptor, hello, answer.nonce))) {
    fail(to_string(Verdict::kOtherSecret));
  }
  socket.write_all(make_proof(options.secret, Side::kDialer, hello, answer.nonce), deadline);
  std::array<std::byte, 1> verdict{};
  socket.read_all(verdict, deadline);
  if (static_cast<Verdict>(verdict[0]) != Verdict::kWelcome) fail(to_string(Verdict::kOtherSecret));
}

}  // namespace

Socket dial(const TcpCommOptions& options, int to, Channel channel, Clock::time_point deadline, std::string& reason) {
  auto pause = Clock::duration(kFirstPause);
  while (Clock::now() < deadline) {
    try {
      const Deadline attempt{std::min(deadline, Clock::now() + kAttempt), options.stop};
      Socket socket = connect_to(options.endpoints[static_cast<std::size_t>(to)], attempt);
      introduce(socket, options, channel, attempt);
      return socket;
    } catch (const common::Error& error) {
      reason = error.what();
    }
    const auto left = std::max(deadline - Clock::now(), Clock::duration::zero());
    if (!common::sleep_unless_stopped(std::min<Clock::duration>(pause, left), options.stop)) break;
    pause = std::min<Clock::duration>(2 * pause, kLongestPause);
  }
  return Socket();
}

}  // namespace millrace::engine
