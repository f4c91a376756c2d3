#include "agent/unknown_fields.h"

#include "common/log.h"

namespace millrace::agent {

void UnknownFields::log(const std::vector<std::string>& names) {
  for (const std::string& full : names) {
    const std::string name = full.substr(0, kMaxNameBytes);
    if (is_new(name)) common::log_debug("request field is unknown and ignored", {{"field", name}});
  }
}

bool UnknownFields::is_new(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return seen_.size() < kMaxNames && seen_.insert(name).second;
}

}  // namespace millrace::agent
