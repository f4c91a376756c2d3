#include "operator/local/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "common/error.h"

namespace millrace::controller::local {
namespace {

using common::Code;
using common::Error;

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> environment_strings(const std::map<std::string, std::string>& env) {
  std::vector<std::string> result;
  for (const char* name : {"PATH", "HOME", "LANG", "LD_LIBRARY_PATH"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && !env.contains(name)) result.push_back(std::string(name) + "=" + value);
  }
  for (const auto& [name, value] : env) result.push_back(name + "=" + value);
  return result;
}

// Between fork and exec: only calls that are safe after a fork of a process with threads.
[[noreturn]] void become(const char* program, char* const* args, char* const* env, int log, pid_t parent, int report) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it died before the line above
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD}) std::signal(number, SIG_DFL);
  setpgid(0, 0);  // Ctrl-C in the terminal is for us; we then end our children in good order
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execve(program, args, env);
  const int error = errno;
  static_cast<void>(!write(report, &error, sizeof error));
  _exit(127);
}

}  // namespace

Process::Process(const ProcessOptions& options) {
  std::vector<std::string> args{options.program.string()};
  args.insert(args.end(), options.args.begin(), options.args.end());
  std::vector<std::string> env = environment_strings(options.env);
  const std::vector<char*> arg_pointers = pointers(args);
  const std::vector<char*> env_pointers = pointers(env);
  const int log = open(options.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0)
    throw Error(Code::kUnavailable, options.log_file.string() + " cannot be opened: " + std::strerror(errno));
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) {
    close(log);
    throw Error(Code::kResourceExhausted, std::string("no pipe: ") + std::strerror(errno));
  }
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) become(args.front().c_str(), arg_pointers.data(), env_pointers.data(), log, parent, report[1]);
  const int fork_error = errno;
  close(log);
  close(report[1]);
  int exec_error = pid_ < 0 ? fork_error : 0;
  if (pid_ > 0) static_cast<void>(!read(report[0], &exec_error, sizeof exec_error));  // ends at exec: close-on-exec
  close(report[0]);
  if (exec_error != 0) {
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
    throw Error(Code::kNotFound, options.program.string() + " cannot be started: " + std::strerror(exec_error));
  }
  pid_fd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
}

Process::~Process() {
  if (!exit_status()) {
    signal(SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (pid_fd_ >= 0) close(pid_fd_);
}

void Process::signal(int number) const {
  if (!status_) kill(pid_, number);
}

std::optional<int> Process::exit_status() {
  int status = 0;
  if (!status_ && waitpid(pid_, &status, WNOHANG) == pid_) {
    status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  return status_;
}

}  // namespace millrace::controller::local
