// A child process that never outlives us.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace millrace::controller::local {

struct ProcessOptions {
  std::filesystem::path program;
  std::vector<std::string> args;           // without the program itself
  std::map<std::string, std::string> env;  // in place of ours, except PATH, HOME, LANG and LD_LIBRARY_PATH
  std::filesystem::path log_file;          // standard output and error are appended to it
};

// One thread starts, waits and ends it: the child is killed when the thread that started it ends, however that happens.
class Process {
 public:
  explicit Process(const ProcessOptions& options);  // throws common::Error{kNotFound} when it cannot be started
  ~Process();                                       // SIGKILL

  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  // A descriptor that becomes readable when the child has ended; for poll().
  int ended_fd() const { return pid_fd_; }
  // The exit status as shells report it (128 + signal when killed); empty while it runs.
  std::optional<int> exit_status();

 private:
  pid_t pid_ = -1;
  int pid_fd_ = -1;
  std::optional<int> status_;
};

}  // namespace millrace::controller::local
