// Runs a program to its end and keeps what it printed, within a time limit. For credential plugins.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace millrace::controller::kube {

struct ChildResult {
  int exit_status = 0;  // as a shell reports it: 128 + signal when killed
  bool timed_out = false;
  std::string out;  // at most 1 MiB
  std::string err;  // at most 1 MiB
};

// `command` is looked up in PATH. `extra_env` is added to our environment. Throws kNotFound when the program cannot be
// started. A child that runs past `limit` is killed.
ChildResult run_child(const std::string& command, const std::vector<std::string>& args,
                      const std::map<std::string, std::string>& extra_env, std::chrono::milliseconds limit);

}  // namespace millrace::controller::kube
