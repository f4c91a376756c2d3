// How long a refusal takes: an agent on loopback whose engine never answers, its queue full, and many connections that
// ask again as soon as they are refused. The client is one thread of the same process, so its own time is included.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/agent.h"
#include "common/error.h"

namespace millrace::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Takes requests and never does anything about them.
class SilentEngine : public engine::Engine {
 public:
  ~SilentEngine() override {
    for (auto& [id, sink] : sinks_) {
      engine::TokenEvent end;
      end.id = id;
      end.finish = engine::FinishReason::kAbort;
      sink(end);
    }
  }
  const engine::EngineInfo& info() const override { return info_; }
  Submitted submit(engine::Request, engine::TokenSink sink) override {
    const std::lock_guard lock(mutex_);
    const auto id = engine::RequestId{sinks_.size() + 1};
    sinks_[id] = std::move(sink);
    return {.accepted = true, .id = id};
  }
  void cancel(engine::RequestId) override {}
  engine::EngineStats stats() const override { return {}; }
  engine::ExpertLoad expert_load() const override { return {}; }
  std::future<void> move_experts(const engine::ExpertPlacement&, const engine::ExpertMoveOptions&) override {
    return {};
  }
  engine::ExpertPlacement expert_placement() const override { return {}; }
  std::string failure() const override { return {}; }

 private:
  engine::EngineInfo info_{.architecture = "silent", .backend = {}, .max_model_len = 512, .vocab = 1000};
  std::mutex mutex_;
  std::map<engine::RequestId, engine::TokenSink> sinks_;
};

std::unique_ptr<agent::Agent> start_agent(const std::string& model, int places) {
  agent::AgentOptions options;
  options.config.port = 0;
  options.config.admin_port = 0;
  options.config.max_num_seqs = places;
  options.config.max_queued_requests = 0;
  options.model_directory = model;
  options.bind = "127.0.0.1";
  options.standalone = common::GroupMembership{.generation = 1, .group = "bench", .peers = {{0, "127.0.0.1"}}};
  agent::GroupRuntime runtime{
      .connect = [](const auto&) { return agent::Comms{}; },
      .start = [](const auto&, const auto&, agent::Comms) { return std::make_unique<SilentEngine>(); },
      .follow = nullptr};
  return std::make_unique<agent::Agent>(options, std::move(runtime));
}

// One keep-alive connection and the answer on its way.
class Connection {
 public:
  explicit Connection(std::uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw common::Error(common::Code::kUnavailable, "cannot connect to the agent");
    }
  }
  ~Connection() { close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }

  void ask(std::string_view request) {
    asked_ = Clock::now();
    answer_.clear();
    if (send(fd_, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
      throw common::Error(common::Code::kUnavailable, "the agent hung up");
    }
  }

  // Status of the answer and its milliseconds once it is complete; 0 while it is not.
  std::pair<int, double> read() {
    char bytes[4096];
    const ssize_t size = recv(fd_, bytes, sizeof bytes, 0);
    if (size <= 0) throw common::Error(common::Code::kUnavailable, "the agent hung up");
    answer_.append(bytes, static_cast<std::size_t>(size));
    const std::size_t head = answer_.find("\r\n\r\n");
    const std::size_t length = answer_.find("Content-Length: ");
    if (head == std::string::npos || length > head) return {0, 0};
    if (answer_.size() < head + 4 + std::stoul(answer_.substr(length + 16))) return {0, 0};
    return {std::stoi(answer_.substr(9)), std::chrono::duration<double, std::milli>(Clock::now() - asked_).count()};
  }

 private:
  int fd_;
  Clock::time_point asked_;
  std::string answer_;
};

std::string chat_request(const std::string& text) {
  const std::string body = R"({"messages": [{"role": "user", "content": ")" + text + R"("}]})";
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Until the agent refuses, which it does once the engine runs and its places are taken.
void fill(std::uint16_t port, std::vector<std::unique_ptr<Connection>>& waiting) {
  const std::string request = chat_request("Hi");
  while (true) {
    auto connection = std::make_unique<Connection>(port);
    connection->ask(request);
    pollfd entry{connection->fd(), POLLIN, 0};
    const bool answered = poll(&entry, 1, 200) == 1;
    if (answered && connection->read().first == 429) return;
    if (!answered) waiting.push_back(std::move(connection));  // else 503: the engine is not there yet
  }
}

std::vector<double> measure(std::uint16_t port, int connections, int rounds, const std::string& request) {
  std::vector<std::unique_ptr<Connection>> all;
  std::vector<pollfd> entries;
  for (int i = 0; i < connections; ++i) {
    all.push_back(std::make_unique<Connection>(port));
    entries.push_back({all.back()->fd(), POLLIN, 0});
  }
  std::vector<int> left(all.size(), rounds);
  std::vector<double> times;
  for (const auto& connection : all) connection->ask(request);
  while (times.size() < all.size() * static_cast<std::size_t>(rounds)) {
    poll(entries.data(), entries.size(), -1);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (entries[i].revents == 0) continue;
      const auto [status, milliseconds] = all[i]->read();
      if (status == 0) continue;
      if (status != 429) throw common::Error(common::Code::kInternal, "status " + std::to_string(status));
      times.push_back(milliseconds);
      if (--left[i] > 0) all[i]->ask(request);
    }
  }
  std::sort(times.begin(), times.end());
  return times;
}

void run(const std::string& model, int connections, int rounds, int prompt_bytes) {
  const auto agent = start_agent(model, 4);
  std::vector<std::unique_ptr<Connection>> waiting;
  fill(agent->port(), waiting);
  const auto times = measure(agent->port(), connections, rounds,
                             chat_request(std::string(static_cast<std::size_t>(prompt_bytes), 'x')));
  const auto at = [&times](double share) {
    return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))];
  };
  std::printf("%d connections, %zu refusals: p50 %.1f ms, p99 %.1f ms, most %.1f ms\n", connections, times.size(),
              at(0.5), at(0.99), times.back());
  agent->stop(std::chrono::milliseconds{0});
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) {
  std::string model = "examples/models/tiny-moe";
  int connections = 200;
  int rounds = 50;
  int prompt_bytes = 2000;
  CLI::App app("Time from a request to its refusal (429) while the engine hangs");
  app.add_option("--model", model, "Folder of a checkpoint; only its text side is read")->capture_default_str();
  app.add_option("--connections", connections)->capture_default_str()->check(CLI::Range(1, 3000));
  app.add_option("--rounds", rounds, "Requests per connection")->capture_default_str()->check(CLI::Range(1, 100000));
  app.add_option("--prompt-bytes", prompt_bytes)->capture_default_str()->check(CLI::Range(1, 1000000));
  CLI11_PARSE(app, argc, argv);
  try {
    millrace::bench::run(model, connections, rounds, prompt_bytes);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
