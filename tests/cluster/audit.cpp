#include "tests/cluster/audit.h"

#include <fstream>

#include <nlohmann/json.hpp>

namespace millrace::testing {
namespace {

using Json = nlohmann::json;

std::string text_at(const Json& event, const char* pointer) {
  const Json::json_pointer path(pointer);
  return event.contains(path) && event[path].is_string() ? event[path].get<std::string>() : "";
}

AuditedWrite read_event(const Json& event) {
  AuditedWrite write;
  write.user = text_at(event, "/user/username");
  write.verb = text_at(event, "/verb");
  write.resource = text_at(event, "/objectRef/resource");
  const std::string subresource = text_at(event, "/objectRef/subresource");
  if (!subresource.empty()) write.resource += "/" + subresource;
  write.name = text_at(event, "/objectRef/name");
  write.code = event.value("/responseStatus/code"_json_pointer, 0);
  return write;
}

}  // namespace

std::string to_string(const AuditedWrite& write) {
  return write.verb + " " + write.resource + " " + write.name + " " + std::to_string(write.code);
}

std::vector<AuditedWrite> audited_writes(const std::filesystem::path& log, const std::string& user, std::size_t from) {
  std::vector<AuditedWrite> writes;
  std::ifstream file(log);
  file.seekg(static_cast<std::streamoff>(from));
  for (std::string line; std::getline(file, line);) {
    const Json event = Json::parse(line, nullptr, false);
    if (event.is_discarded()) continue;
    AuditedWrite write = read_event(event);
    if (write.user == user) writes.push_back(std::move(write));
  }
  return writes;
}

}  // namespace millrace::testing
