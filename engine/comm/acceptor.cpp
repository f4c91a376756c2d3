#include "engine/comm/acceptor.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "common/error.h"

namespace millrace::engine {
namespace {

constexpr auto kPatience = std::chrono::seconds(5);  // with a caller that has not proved itself
constexpr std::size_t kMaxCallers = 64;
constexpr auto kTick = std::chrono::milliseconds(200);

// Reads what is there, up to `wanted` bytes in all. False when the caller is gone.
bool receive(const Socket& socket, std::vector<std::byte>& received, std::size_t wanted) {
  std::array<std::byte, Hello::kSize> buffer;
  while (received.size() < wanted) {
    const std::size_t room = std::min(buffer.size(), wanted - received.size());
    const ssize_t got = ::recv(socket.fd(), buffer.data(), room, 0);
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    if (got == 0) return false;
    received.insert(received.end(), buffer.begin(), buffer.begin() + got);
  }
  return true;
}

// The answers are small and the first on their connection: they always fit the socket's buffer.
bool send_now(const Socket& socket, std::span<const std::byte> bytes) {
  return ::send(socket.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

}  // namespace

Acceptor::Acceptor(const TcpCommOptions& options)
    : options_(options), listener_(listen_on(options.endpoints[static_cast<std::size_t>(options.rank)])) {}

bool Acceptor::is_complete(const Mesh& mesh) const {
  for (const std::vector<Socket>& sockets : mesh.sockets) {
    const auto first = sockets.begin() + options_.rank + 1;
    if (!std::all_of(first, sockets.end(), [](const Socket& socket) { return socket.is_open(); })) return false;
  }
  return true;
}

void Acceptor::accept_higher_ranks(Clock::time_point deadline, Mesh& mesh) {
  while (!is_complete(mesh) && Clock::now() < deadline && !options_.stop.stop_requested()) {
    wait_for_bytes(deadline);
    take_new_callers();
    serve_callers(mesh);
  }
}

void Acceptor::wait_for_bytes(Clock::time_point deadline) const {
  std::vector<pollfd> entries{{listener_.fd(), POLLIN, 0}};
  for (const Caller& caller : callers_) entries.push_back({caller.socket.fd(), POLLIN, 0});
  ::poll(entries.data(), entries.size(), poll_timeout(std::min(deadline, Clock::now() + kTick)));
}

void Acceptor::take_new_callers() {
  while (std::optional<Socket> socket = accept_from(listener_)) {
    if (callers_.size() == kMaxCallers) callers_.pop_front();
    Caller& caller = callers_.emplace_back();
    caller.socket = std::move(*socket);
    caller.expires = Clock::now() + kPatience;
  }
}

void Acceptor::serve_callers(Mesh& mesh) {
  std::deque<Caller> waiting;
  for (Caller& caller : callers_) {
    const Progress progress = serve(caller);
    if (progress == Progress::kAccepted) {
      // A rank that lost our verdict dials again; its newest connection counts.
      mesh.sockets[static_cast<std::size_t>(caller.hello.channel)][caller.hello.rank] = std::move(caller.socket);
    } else if (progress == Progress::kWaiting && Clock::now() < caller.expires) {
      waiting.push_back(std::move(caller));
    }
  }
  callers_ = std::move(waiting);
}

Acceptor::Progress Acceptor::serve(Caller& caller) {
  if (!receive(caller.socket, caller.received, caller.answered ? sizeof(Mac) : Hello::kSize)) {
    return caller.answered ? reject("it left instead of proving the secret; does it have another one?")
                           : Progress::kRejected;
  }
  if (!caller.answered && caller.received.size() == Hello::kSize) return answer(caller);
  if (caller.answered && caller.received.size() == sizeof(Mac)) return verify(caller);
  return Progress::kWaiting;
}

Acceptor::Progress Acceptor::answer(Caller& caller) {
  std::copy(caller.received.begin(), caller.received.end(), caller.hello_bytes.begin());
  caller.received.clear();
  caller.answered = true;
  caller.nonce = make_nonce();
  Verdict verdict = decode(caller.hello_bytes, caller.hello);
  if (verdict == Verdict::kWelcome) verdict = judge(caller.hello, options_);
  const Mac proof = make_proof(options_.secret, Side::kAcceptor, caller.hello_bytes, caller.nonce);
  const bool sent =
      send_now(caller.socket,
               encode({.verdict = verdict, .generation = options_.generation, .nonce = caller.nonce, .proof = proof}));
  if (verdict != Verdict::kWelcome) return reject(to_string(verdict));
  return sent ? Progress::kWaiting : Progress::kRejected;
}

Acceptor::Progress Acceptor::verify(Caller& caller) {
  Mac proof;
  std::copy(caller.received.begin(), caller.received.end(), proof.begin());
  const bool proved = same_proof(proof, make_proof(options_.secret, Side::kDialer, caller.hello_bytes, caller.nonce));
  const std::array<std::byte, 1> verdict{static_cast<std::byte>(proved ? Verdict::kWelcome : Verdict::kOtherSecret)};
  const bool sent = send_now(caller.socket, verdict);
  if (!proved) return reject(to_string(Verdict::kOtherSecret));
  return sent ? Progress::kAccepted : Progress::kRejected;
}

Acceptor::Progress Acceptor::reject(const std::string& reason) {
  refusal_ = "a caller was refused: " + reason;
  return Progress::kRejected;
}

}  // namespace millrace::engine
