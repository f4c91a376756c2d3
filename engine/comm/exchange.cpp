#include "engine/comm/exchange.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/error.h"

namespace millrace::engine {
namespace {

constexpr std::uint64_t kMaxMessage = std::uint64_t{1} << 32;
constexpr int kReasonPatienceMs = 200;
constexpr auto kGraceTick = std::chrono::milliseconds(20);

// The part of header and body behind the first `done` bytes.
template <typename Bytes>
msghdr remaining(std::array<iovec, 2>& parts, std::span<const std::byte> header, Bytes body, std::size_t done) {
  const std::size_t in_header = std::min(done, header.size());
  const std::size_t in_body = done - in_header;
  parts[0] = {const_cast<std::byte*>(header.data()) + in_header, header.size() - in_header};
  parts[1] = {const_cast<std::byte*>(body.data()) + in_body, body.size() - in_body};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  return message;
}

bool would_block() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

}  // namespace

Exchange::Exchange(int rank, const Mesh& mesh, const std::vector<std::string>& names, GroupFailure& failure)
    : rank_(rank), mesh_(mesh), names_(names), failure_(failure), sent_(names.size()), received_(names.size()) {}

void Exchange::run(Operation operation, std::span<const Send> sends, std::span<const Receive> receives) {
  const std::optional<Clock::time_point> end = failure_.end();
  if (end && *end <= Clock::now()) give_up();
  outgoing_.clear();
  incoming_.clear();
  for (const Send& send : sends) {
    const std::uint32_t number = sent_[static_cast<std::size_t>(send.to)]++;
    outgoing_.push_back({send.to, make_header(operation, number, send.body.size()), send.body, 0});
  }
  for (const Receive& receive : receives) incoming_.push_back({receive.from, {}, receive.body, 0});
  finish();
  for (const Incoming& message : incoming_) check_header(operation, message);
}

std::vector<std::byte> Exchange::receive_message(int from) {
  const std::optional<Clock::time_point> end = failure_.end();
  if (end && *end <= Clock::now()) give_up();
  outgoing_.clear();
  incoming_.assign(1, {from, {}, {}, 0});
  finish();
  std::uint64_t size = 0;
  std::memcpy(&size, incoming_[0].header.data() + 8, sizeof(size));
  if (size > kMaxMessage) check_header(Operation::kMessage, incoming_[0]);  // fails: nobody sends that much
  std::vector<std::byte> message(size);
  incoming_[0].body = message;
  finish();
  check_header(Operation::kMessage, incoming_[0]);
  return message;
}

void Exchange::finish() {
  while (true) {
    bool complete = true;
    for (Outgoing& message : outgoing_) complete = progress(message) && complete;
    for (Incoming& message : incoming_) complete = progress(message) && complete;
    if (complete) return;
    wait();
  }
}

bool Exchange::progress(Outgoing& message) {
  std::array<iovec, 2> parts;
  while (!message.complete()) {
    const msghdr rest = remaining(parts, message.header, message.body, message.done);
    const ssize_t sent = ::sendmsg(mesh_.data(message.peer).fd(), &rest, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && would_block()) return false;
    if (sent < 0) peer_is_gone(message.peer);
    message.done += static_cast<std::size_t>(sent);
  }
  return true;
}

bool Exchange::progress(Incoming& message) {
  std::array<iovec, 2> parts;
  while (!message.complete()) {
    msghdr rest = remaining(parts, message.header, message.body, message.done);
    const ssize_t got = ::recvmsg(mesh_.data(message.peer).fd(), &rest, MSG_DONTWAIT);
    if (got < 0 && would_block()) return false;
    if (got <= 0) peer_is_gone(message.peer);
    message.done += static_cast<std::size_t>(got);
  }
  return true;
}

// Until a connection can go on or the group fails. A group that somebody has left goes on for its grace.
void Exchange::wait() {
  const std::optional<Clock::time_point> end = failure_.end();
  if (end && *end <= Clock::now()) give_up();
  std::vector<pollfd> entries;
  if (!end) entries.push_back({failure_.wake_fd(), POLLIN, 0});
  for (const Outgoing& message : outgoing_) {
    if (!message.complete()) entries.push_back({mesh_.data(message.peer).fd(), POLLOUT, 0});
  }
  for (const Incoming& message : incoming_) {
    if (!message.complete()) entries.push_back({mesh_.data(message.peer).fd(), POLLIN, 0});
  }
  ::poll(entries.data(), entries.size(), end ? poll_timeout(std::min(*end, Clock::now() + kGraceTick)) : -1);
}

Exchange::Header Exchange::make_header(Operation operation, std::uint32_t number, std::uint64_t size) const {
  Header header;
  std::memcpy(header.data(), &operation, 4);
  std::memcpy(header.data() + 4, &number, 4);
  std::memcpy(header.data() + 8, &size, 8);
  return header;
}

void Exchange::check_header(Operation operation, const Incoming& message) {
  const std::uint32_t number = received_[static_cast<std::size_t>(message.peer)]++;
  if (message.header == make_header(operation, number, message.body.size())) return;
  failure_.fail(names_[static_cast<std::size_t>(message.peer)] + " and rank " + std::to_string(rank_) +
                " do not run the same operation on the same sizes");
  give_up();
}

// The pulse usually learns why at the same moment; its reason is the better one.
void Exchange::peer_is_gone(int peer) {
  pollfd entry{failure_.wake_fd(), POLLIN, 0};
  ::poll(&entry, 1, kReasonPatienceMs);
  failure_.fail(names_[static_cast<std::size_t>(peer)] + " is gone: its connection broke");
  give_up();
}

void Exchange::give_up() const {
  throw common::Error(common::Code::kUnavailable, failure_.reason());
}

}  // namespace millrace::engine
