#include "operator/kube/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "common/error.h"

extern char** environ;

namespace millrace::controller::kube {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kOutputLimit = 1U << 20;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { close(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

struct Pipe {
  Pipe() : Pipe(make()) {}
  Fd read_end;
  Fd write_end;

 private:
  explicit Pipe(std::array<int, 2> ends) : read_end(ends[0]), write_end(ends[1]) {}
  static std::array<int, 2> make() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
      throw common::Error(common::Code::kInternal, std::string("pipe: ") + std::strerror(errno));
    }
    return ends;
  }
};

// Replaces what is in our environment, so that the child sees each name once.
std::vector<std::string> environment(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!extra.contains(text.substr(0, text.find('=')))) all.push_back(text);
  }
  for (const auto& [name, value] : extra) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

pid_t spawn(const std::string& command, const std::vector<std::string>& args,
            const std::map<std::string, std::string>& extra_env, const Pipe& out, const Pipe& err) {
  std::vector<std::string> words{command};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<std::string> env = environment(extra_env);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write_end.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, err.write_end.get(), 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own, so that its children can be killed too; signals as any program expects them at its start.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigaddset(&signals, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  pid_t pid = 0;
  const int error =
      posix_spawnp(&pid, command.c_str(), &actions, &attributes, pointers(words).data(), pointers(env).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    throw common::Error(common::Code::kNotFound, "cannot start '" + command + "': " + std::strerror(error));
  }
  return pid;
}

// False at end of file.
bool take(int fd, std::string& into) {
  std::array<char, 4096> block;
  const ssize_t size = ::read(fd, block.data(), block.size());
  if (size < 0) return errno == EINTR;
  if (size == 0) return false;
  into.append(block.data(),
              std::min(static_cast<std::size_t>(size), kOutputLimit - std::min(kOutputLimit, into.size())));
  return true;
}

// True when both pipes ended before the deadline.
bool drain(Pipe& out, Pipe& err, ChildResult& result, Clock::time_point deadline) {
  std::array<pollfd, 2> polled{pollfd{out.read_end.get(), POLLIN, 0}, pollfd{err.read_end.get(), POLLIN, 0}};
  while (polled[0].fd >= 0 || polled[1].fd >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    if (::poll(polled.data(), polled.size(), static_cast<int>(left)) < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    if (polled[0].revents != 0 && !take(polled[0].fd, result.out)) polled[0].fd = -1;
    if (polled[1].revents != 0 && !take(polled[1].fd, result.err)) polled[1].fd = -1;
  }
  return true;
}

int reap(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

ChildResult run_child(const std::string& command, const std::vector<std::string>& args,
                      const std::map<std::string, std::string>& extra_env, std::chrono::milliseconds limit) {
  Pipe out;
  Pipe err;
  const pid_t pid = spawn(command, args, extra_env, out, err);
  out.write_end.close();
  err.write_end.close();
  ChildResult result;
  result.timed_out = !drain(out, err, result, Clock::now() + limit);
  if (result.timed_out) ::kill(-pid, SIGKILL);
  result.exit_status = reap(pid);
  return result;
}

}  // namespace millrace::controller::kube
