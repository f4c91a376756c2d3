// Runs a program of the build and talks to it as a shell would.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace millrace::e2e {

class Command {
 public:
  // Starts at once; standard output and error go into one text.
  Command(const std::filesystem::path& program, const std::vector<std::string>& args);
  ~Command();  // SIGKILL when it still runs

  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  // True when `text` has appeared; false when the program ended or the limit passed first.
  bool wait_for(const std::string& text, std::chrono::seconds limit);
  // The exit status (128 + signal when killed), or -1 when the limit passed.
  int wait(std::chrono::seconds limit);
  void signal(int number) const;
  std::vector<pid_t> children() const;  // of the program, now
  const std::string& output() const { return output_; }

 private:
  bool read_some(std::chrono::milliseconds limit);  // false at the end of the output

  pid_t pid_ = -1;
  int out_ = -1;
  bool ended_ = false;
  std::string output_;
};

bool is_running(pid_t pid);

// examples/models/tiny-moe, or empty when this tree does not have its weights.
std::filesystem::path tiny_model();

}  // namespace millrace::e2e
