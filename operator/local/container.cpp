#include "operator/local/container.h"

#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "common/error.h"
#include "common/http_client.h"

namespace millrace::controller::local {
namespace {

namespace fs = std::filesystem;
using common::Code;
using common::Error;
using kube::Json;

std::uint16_t port_of(const kube::Object& container, const Json& port) {
  if (port.is_number_integer()) return port.get<std::uint16_t>();
  for (const Json& entry : container.at("/ports")) {
    if (port.is_string() && entry.value("name", "") == port.get<std::string>()) {
      return entry.value("containerPort", std::uint16_t{0});
    }
  }
  throw Error(Code::kInvalidArgument, "the container has no port " + port.dump());
}

std::chrono::milliseconds seconds_at(const kube::Object& probe, const char* pointer, std::int64_t normal) {
  return std::chrono::seconds(probe.int_at(pointer).value_or(normal));
}

std::string field_value(const kube::Object& pod, const std::string& pod_ip, const std::string& path) {
  if (path == "status.podIP" || path == "status.hostIP") return pod_ip;
  if (path == "metadata.name") return pod.name();
  if (path == "metadata.namespace") return pod.ns();
  if (path == "metadata.uid") return pod.uid();
  if (path == "spec.nodeName") return pod.string_at("/spec/nodeName");
  throw Error(Code::kUnimplemented, "the local mode has no field " + path + " for environment variables");
}

std::map<std::string, std::string> environment(const kube::Object& pod, const std::string& pod_ip,
                                               const std::vector<MountedPath>& mounts) {
  std::map<std::string, std::string> env;
  for (const Json& json : pod.at("/spec/containers/0/env")) {
    const kube::Object variable(json);
    const std::string field = variable.string_at("/valueFrom/fieldRef/fieldPath");
    if (field.empty() && json.contains("valueFrom")) {
      throw Error(Code::kUnimplemented, "the local mode sets environment variables from value and fieldRef only");
    }
    env[variable.string_at("/name")] = field.empty()
                                           ? to_machine_path(expand(variable.string_at("/value"), env), mounts)
                                           : field_value(pod, pod_ip, field);
  }
  return env;
}

fs::path find_program(const std::string& command, const std::vector<fs::path>& programs) {
  if (command.find('/') != std::string::npos) return command;
  for (const fs::path& folder : programs) {
    if (access((folder / command).c_str(), X_OK) == 0) return folder / command;
  }
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (access((fs::path(folder) / command).c_str(), X_OK) == 0) return fs::path(folder) / command;
  }
  std::string looked;
  for (const fs::path& folder : programs) looked += " " + folder.string();
  throw Error(Code::kNotFound, "there is no program " + command + " in" + looked + " or PATH");
}

}  // namespace

bool HttpProbe::check(const std::string& ip) const {
  common::HttpCall call;
  call.host = ip;
  call.port = port;
  call.target = path;
  call.timeout = timeout;
  call.tls = tls;
  call.max_body_bytes = 64 << 10;
  try {
    const int status = common::http_call(call).status;
    return status >= 200 && status < 400;
  } catch (const Error&) {
    return false;
  }
}

std::optional<HttpProbe> probe_of(const kube::Object& container, const std::string& name) {
  const kube::Object json(container.at("/" + name));
  if (!json.json().is_object()) return std::nullopt;
  if (!json.json().contains("httpGet")) throw Error(Code::kUnimplemented, "the local mode has HTTP probes only");
  HttpProbe probe;
  probe.port = port_of(container, json.at("/httpGet/port"));
  probe.path = json.string_at("/httpGet/path");
  if (json.string_at("/httpGet/scheme") == "HTTPS") probe.tls = common::make_tls_client({.verify = false});
  probe.initial_delay = seconds_at(json, "/initialDelaySeconds", 0);
  probe.period = seconds_at(json, "/periodSeconds", 10);
  probe.timeout = seconds_at(json, "/timeoutSeconds", 1);
  probe.failures = static_cast<int>(json.int_at("/failureThreshold").value_or(3));
  probe.successes = static_cast<int>(json.int_at("/successThreshold").value_or(1));
  return probe;
}

bool ProbeCounter::add(const HttpProbe& probe, bool success) {
  const bool before = passed_;
  successes_ = success ? successes_ + 1 : 0;
  failures_ = success ? 0 : failures_ + 1;
  if (successes_ >= probe.successes) passed_ = true;
  if (failures_ >= probe.failures) passed_ = false;
  return passed_ != before;
}

std::string expand(const std::string& text, const std::map<std::string, std::string>& env) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escaped = text.compare(i, 3, "$$(") == 0;
    const std::size_t close = text.compare(i, 2, "$(") == 0 ? text.find(')', i) : std::string::npos;
    if (escaped) {
      result += "$(";
      i += 2;
    } else if (close != std::string::npos && env.contains(text.substr(i + 2, close - i - 2))) {
      result += env.at(text.substr(i + 2, close - i - 2));
      i = close;
    } else {
      result += text[i];
    }
  }
  return result;
}

ProcessOptions process_of(const kube::Object& pod, const std::string& pod_ip, const std::vector<MountedPath>& mounts,
                          const std::vector<fs::path>& programs) {
  ProcessOptions options;
  options.env = environment(pod, pod_ip, mounts);
  std::vector<std::string> words;
  for (const char* part : {"/spec/containers/0/command", "/spec/containers/0/args"}) {
    for (const Json& word : pod.at(part)) words.push_back(expand(word.get<std::string>(), options.env));
  }
  if (words.empty()) throw Error(Code::kInvalidArgument, "the container has no command; the local mode runs no images");
  options.program = find_program(words.front(), programs);
  for (std::size_t i = 1; i < words.size(); ++i) options.args.push_back(to_machine_path(words[i], mounts));
  return options;
}

}  // namespace millrace::controller::local
