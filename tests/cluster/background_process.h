// A program that runs beside a test and ends with it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

namespace millrace::testing {

class BackgroundProcess {
 public:
  // Starts argv[0] found in PATH; both outputs go to `log`. Throws std::runtime_error when it cannot be started. The
  // kernel kills it when this process dies.
  BackgroundProcess(std::vector<std::string> argv, std::filesystem::path log);
  // SIGTERM, and SIGKILL when it has not ended after ten seconds.
  ~BackgroundProcess();
  BackgroundProcess(const BackgroundProcess&) = delete;
  BackgroundProcess& operator=(const BackgroundProcess&) = delete;

  bool running();
  void signal(int number) const;
  // Waits for its end: exit status, or 128 + signal.
  int wait();
  // What it has written so far.
  std::string log() const;

 private:
  pid_t pid_ = 0;
  int status_ = -1;  // of the ended process
  std::filesystem::path log_;
};

// A TCP port of 127.0.0.1 that nothing listens on at the moment.
int free_port();

}  // namespace millrace::testing
