// Loopback addresses for pods: every pod its own, so that all can use the same ports.
#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace millrace::controller::local {

class AddressPool {
 public:
  AddressPool();

  // An address of 127.0.0.0/8 on which all of `ports` are free. Throws common::Error{kResourceExhausted}.
  std::string take(const std::vector<std::uint16_t>& ports);
  void give_back(const std::string& address);

 private:
  std::mutex mutex_;
  std::uint32_t next_;  // different in each process, so that two of them seldom meet
  std::set<std::string> taken_;
};

}  // namespace millrace::controller::local
