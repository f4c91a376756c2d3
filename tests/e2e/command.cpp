#include "tests/e2e/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <stdexcept>

#include "tests/paths.h"

namespace millrace::e2e {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

}  // namespace

Command::Command(const fs::path& program, const std::vector<std::string>& args) {
  std::vector<std::string> words{program.string()};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  pid_ = fork();
  if (pid_ == 0) {
    dup2(pipe_ends[1], STDOUT_FILENO);
    dup2(pipe_ends[1], STDERR_FILENO);
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  close(pipe_ends[1]);
  out_ = pipe_ends[0];
}

Command::~Command() {
  if (!ended_) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(out_);
}

bool Command::read_some(std::chrono::milliseconds limit) {
  pollfd wait{out_, POLLIN, 0};
  if (poll(&wait, 1, static_cast<int>(limit.count())) <= 0) return true;
  std::array<char, 4096> buffer{};
  const ssize_t size = read(out_, buffer.data(), buffer.size());
  if (size <= 0) return false;
  output_.append(buffer.data(), static_cast<std::size_t>(size));
  return true;
}

bool Command::wait_for(const std::string& text, std::chrono::seconds limit) {
  const auto end = Clock::now() + limit;
  while (output_.find(text) == std::string::npos) {
    if (Clock::now() > end || !read_some(std::chrono::milliseconds(200))) {
      return output_.find(text) != std::string::npos;
    }
  }
  return true;
}

int Command::wait(std::chrono::seconds limit) {
  const auto end = Clock::now() + limit;
  while (read_some(std::chrono::milliseconds(200))) {
    if (Clock::now() > end) return -1;
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  ended_ = true;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void Command::signal(int number) const {
  kill(pid_, number);
}

std::vector<pid_t> Command::children() const {
  std::vector<pid_t> result;
  for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(pid_) + "/task")) {
    std::ifstream list(task.path() / "children");
    for (pid_t child = 0; list >> child;) result.push_back(child);
  }
  return result;
}

bool is_running(pid_t pid) {
  return kill(pid, 0) == 0;
}

fs::path tiny_model() {
  const fs::path folder = fs::path(MILLRACE_SOURCE_DIR) / "examples/models/tiny-moe";
  for (const auto& file : fs::directory_iterator(folder)) {
    if (file.path().extension() == ".safetensors") return folder;
  }
  return {};
}

}  // namespace millrace::e2e
