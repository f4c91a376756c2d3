#include "engine/comm/pulse.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/error.h"

namespace millrace::engine {
namespace {

// The pulse stream: single bytes, and after kFailed a text up to the end of the stream.
constexpr std::byte kBeat{'b'};
constexpr std::byte kLeaving{'l'};
constexpr std::byte kFailed{'f'};
constexpr std::byte kTextEnd{'\0'};
constexpr int kBeatsPerLiveness = 6;
constexpr std::size_t kMaxText = 4096;

bool is_readable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

}  // namespace

Pulse::Pulse(int rank, const Mesh& mesh, const std::vector<std::string>& names, Clock::duration liveness,
             GroupFailure& failure)
    : names_(names),
      rank_(rank),
      liveness_(liveness),
      failure_(failure),
      next_beat_(Clock::now()),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!stop_.is_open()) throw common::Error(common::Code::kResourceExhausted, "no eventfd is left");
  for (int peer = 0; peer < static_cast<int>(names.size()); ++peer) {
    if (peer != rank) peers_.push_back({peer, mesh.pulse(peer).fd(), Clock::now(), {}, true});
  }
  thread_ = std::thread([this] { run(); });
}

Pulse::~Pulse() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_.fd(), &one, sizeof(one));
  thread_.join();
}

void Pulse::run() {
  while (!is_readable(stop_.fd())) {
    wait();
    for (Peer& peer : peers_) {
      if (peer.listening) listen(peer);
    }
    spread_failure();
    check_silence();
    if (Clock::now() >= next_beat_) beat();
  }
  spread_failure();
  if (!failure_spread_) broadcast(std::span(&kLeaving, 1));
}

// Until a peer sends, something fails, the next beat is due or a peer has been silent for too long.
void Pulse::wait() {
  Clock::time_point until = next_beat_;
  std::vector<pollfd> entries{{stop_.fd(), POLLIN, 0}};
  if (!woken_) entries.push_back({failure_.wake_fd(), POLLIN, 0});
  for (const Peer& peer : peers_) {
    if (!peer.listening) continue;
    entries.push_back({peer.fd, POLLIN, 0});
    until = std::min(until, peer.heard + liveness_);
  }
  ::poll(entries.data(), entries.size(), poll_timeout(until));
  woken_ = is_readable(failure_.wake_fd());
}

void Pulse::beat() {
  broadcast(std::span(&kBeat, 1));
  next_beat_ = Clock::now() + liveness_ / kBeatsPerLiveness;
}

void Pulse::listen(Peer& peer) {
  std::byte buffer[256];
  const ssize_t got = ::recv(peer.fd, buffer, sizeof(buffer), MSG_DONTWAIT);
  if (got > 0) {
    peer.heard = Clock::now();
    take(peer, std::span(buffer, static_cast<std::size_t>(got)));
  } else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
    peer.listening = false;
    failure_.fail(names_[static_cast<std::size_t>(peer.rank)] + " is gone: its connection broke");
  }
}

void Pulse::take(Peer& peer, std::span<const std::byte> bytes) {
  for (const std::byte byte : bytes) {
    if (!peer.text.empty()) {  // inside the text of a failure, which starts with kFailed
      if (byte != kTextEnd && peer.text.size() < kMaxText) {
        peer.text.push_back(byte);
        continue;
      }
      peer.listening = false;
      return failure_.fail(std::string(reinterpret_cast<const char*>(peer.text.data()) + 1, peer.text.size() - 1));
    }
    if (byte == kFailed) peer.text.push_back(byte);
    if (byte == kLeaving) {
      peer.listening = false;
      return failure_.leave(names_[static_cast<std::size_t>(peer.rank)] + " has left the group", liveness_);
    }
  }
}

void Pulse::check_silence() {
  for (Peer& peer : peers_) {
    if (!peer.listening || Clock::now() - peer.heard < liveness_) continue;
    peer.listening = false;
    const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(liveness_).count();
    failure_.fail(names_[static_cast<std::size_t>(peer.rank)] + " is silent for more than " + std::to_string(limit) +
                  " ms");
  }
}

// Everybody learns of a failure from whoever notices it first. Who leaves in good order says so to each.
void Pulse::spread_failure() {
  const std::optional<Clock::time_point> end = failure_.end();
  if (failure_spread_ || !end || *end > Clock::now()) return;
  failure_spread_ = true;
  const std::string reason = failure_.reason();
  std::vector<std::byte> message{kFailed};
  for (const char c : reason.substr(0, kMaxText - 2)) message.push_back(static_cast<std::byte>(c));
  message.push_back(kTextEnd);
  broadcast(message);
}

// Never blocks: a peer that does not read is found silent by the others.
void Pulse::broadcast(std::span<const std::byte> bytes) {
  for (const Peer& peer : peers_) ::send(peer.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace millrace::engine
