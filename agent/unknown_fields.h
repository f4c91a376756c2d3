// Fields of request bodies that this server does not know are ignored, as vLLM does; each is mentioned once in the log.
#pragma once

#include <cstddef>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace millrace::agent {

// Any thread. Names come from clients: only so many are remembered, none of them at length.
class UnknownFields {
 public:
  static constexpr std::size_t kMaxNames = 256;
  static constexpr std::size_t kMaxNameBytes = 64;

  // Logs, at debug, those that are new.
  void log(const std::vector<std::string>& names);

 private:
  bool is_new(const std::string& name);

  std::mutex mutex_;
  std::set<std::string> seen_;
};

}  // namespace millrace::agent
