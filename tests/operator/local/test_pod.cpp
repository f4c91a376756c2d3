// What the node tests run in pods: an HTTP server that answers as it is told.
//   test_pod --bind IP --port N [--exit CODE] [--stubborn] [--file PATH]
//   GET /ready: 200 while the file "ready" is in $STATE, else 503. GET /live: 200 unless "dead" is there.
//   GET /env: the environment variable TEST. GET /file: the content of PATH.
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "common/http_server.h"

namespace {

namespace common = millrace::common;

std::string flag(int argc, char** argv, const std::string& name) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (argv[i] == name) return argv[i + 1];
  }
  return "";
}

bool has(int argc, char** argv, const std::string& name) {
  for (int i = 1; i < argc; ++i) {
    if (argv[i] == name) return true;
  }
  return false;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

common::HttpResponse answer(bool good, const std::string& text) {
  return {good ? 200 : 503, text, "text/plain"};
}

}  // namespace

int main(int argc, char** argv) {
  std::printf("started\n");
  std::fflush(stdout);
  if (const std::string code = flag(argc, argv, "--exit"); !code.empty()) return std::atoi(code.c_str());
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  const std::filesystem::path state = variable("STATE");
  const std::string file = flag(argc, argv, "--file");
  common::HttpServerOptions options;
  options.address = flag(argc, argv, "--bind");
  options.port = static_cast<std::uint16_t>(std::atoi(flag(argc, argv, "--port").c_str()));
  common::HttpServer server(options, [&](common::HttpRequest request) -> common::HttpReply {
    if (request.path == "/ready") return answer(std::filesystem::exists(state / "ready"), "ready");
    if (request.path == "/live") return answer(!std::filesystem::exists(state / "dead"), "live");
    if (request.path == "/env") return answer(true, variable("TEST"));
    std::ifstream stream(file);
    return answer(true, {std::istreambuf_iterator<char>(stream), {}});
  });
  int number = 0;
  do {
    sigwait(&set, &number);
    std::printf("terminated\n");
    std::fflush(stdout);
  } while (has(argc, argv, "--stubborn"));
  return 0;
}
