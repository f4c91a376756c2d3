#include "engine/comm/mesh.h"

#include <poll.h>

#include <algorithm>
#include <thread>

#include "common/error.h"
#include "engine/comm/acceptor.h"
#include "engine/comm/dialer.h"

namespace millrace::engine {
namespace {

using common::Code;
using common::Error;

void check(const TcpCommOptions& options) {
  const auto size = static_cast<int>(options.endpoints.size());
  if (options.rank < 0 || options.rank >= size) {
    throw Error(Code::kInvalidArgument, "rank is " + std::to_string(options.rank) + "; accepted: 0 to " +
                                            std::to_string(size - 1) + ", one rank per endpoint");
  }
}

// One thread per lower rank; each fills its own places.
class Dialers {
 public:
  Dialers(const TcpCommOptions& options, Clock::time_point deadline, Mesh& mesh)
      : reasons_(static_cast<std::size_t>(options.rank)) {
    for (int to = 0; to < options.rank; ++to) {
      threads_.emplace_back([&options, deadline, &mesh, to, this] {
        const auto place = static_cast<std::size_t>(to);
        for (int channel = 0; channel < kChannels; ++channel) {
          mesh.sockets[static_cast<std::size_t>(channel)][place] =
              dial(options, to, static_cast<Channel>(channel), deadline, reasons_[place]);
        }
      });
    }
  }
  ~Dialers() { join(); }

  void join() {
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  const std::string& reason(int rank) const { return reasons_[static_cast<std::size_t>(rank)]; }

 private:
  std::vector<std::string> reasons_;  // why the last attempt at each rank failed
  std::vector<std::thread> threads_;
};

[[noreturn]] void report_missing(const TcpCommOptions& options, const std::vector<std::string>& missing) {
  std::string text = "group of " + std::to_string(options.endpoints.size()) + " ranks, generation " +
                     std::to_string(options.generation) + ": rank " + std::to_string(options.rank) + " misses ";
  for (std::size_t i = 0; i < missing.size(); ++i) text += (i > 0 ? ", " : "") + missing[i];
  text += " after " + std::to_string(options.connect_timeout_ms) + " ms";
  throw Error(Code::kDeadlineExceeded, text);
}

std::string describe(const TcpCommOptions& options, int rank, const std::string& why) {
  const std::string name =
      "rank " + std::to_string(rank) + " (" + to_string(options.endpoints[static_cast<std::size_t>(rank)]) + ")";
  return why.empty() ? name : name + ": " + why;
}

bool is_connected(const Mesh& mesh, int rank) {
  return mesh.data(rank).is_open() && mesh.pulse(rank).is_open();
}

void check_complete(const TcpCommOptions& options, const Mesh& mesh, const Dialers& dialers, const Acceptor& acceptor) {
  std::vector<std::string> missing;
  for (int rank = 0; rank < static_cast<int>(options.endpoints.size()); ++rank) {
    if (rank == options.rank || is_connected(mesh, rank)) continue;
    missing.push_back(describe(options, rank, rank < options.rank ? dialers.reason(rank) : acceptor.refusal()));
  }
  if (!missing.empty()) report_missing(options, missing);
}

// One byte each way with everybody: nobody goes on before all are connected with all.
void agree_that_all_are_here(const TcpCommOptions& options, const Mesh& mesh, const Deadline& deadline) {
  const std::array<std::byte, 1> here{std::byte{1}};
  std::vector<std::string> missing;
  const auto with_each = [&](const auto& action) {
    for (int rank = 0; rank < static_cast<int>(options.endpoints.size()); ++rank) {
      if (rank == options.rank) continue;
      try {
        action(mesh.data(rank));
      } catch (const Error& error) {
        if (error.code() == Code::kCancelled) throw;
        missing.push_back(describe(options, rank, std::string("connected, but did not join: ") + error.what()));
      }
    }
    if (!missing.empty()) report_missing(options, missing);
  };
  with_each([&](const Socket& socket) { socket.write_all(here, deadline); });
  with_each([&](const Socket& socket) {
    std::array<std::byte, 1> answer{};
    socket.read_all(answer, deadline);
  });
}

}  // namespace

Mesh connect_mesh(const TcpCommOptions& options) {
  check(options);
  const Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(options.connect_timeout_ms);
  Mesh mesh;
  for (std::vector<Socket>& sockets : mesh.sockets) sockets.resize(options.endpoints.size());
  Acceptor acceptor(options);
  Dialers dialers(options, deadline, mesh);
  acceptor.accept_higher_ranks(deadline, mesh);
  dialers.join();
  if (options.stop.stop_requested()) throw Error(Code::kCancelled, "stopped while the ranks were connecting");
  check_complete(options, mesh, dialers, acceptor);
  agree_that_all_are_here(options, mesh, {deadline, options.stop});
  return mesh;
}

}  // namespace millrace::engine
