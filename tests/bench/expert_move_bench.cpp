// Inter-token latency of a running stream while experts move, against the same stream while they do not: the two kinds
// of windows alternate, so that whatever else the machine does falls on both.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <vector>

#include "engine/engine.h"

namespace {

using namespace millrace::engine;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kTokensPerWindow = 400;

struct Options {
  std::string model;
  int ranks = 4;
  int windows = 6;
  std::int64_t bytes_per_second = std::int64_t{1} << 20;
};

// One greedy stream; the gaps between its tokens in milliseconds.
std::vector<double> stream(Engine& engine) {
  std::mutex mutex;
  std::condition_variable ended;
  bool done = false;
  std::vector<Clock::time_point> times;
  Request request;
  for (TokenId token = 5; token < 37; ++token) request.prompt.push_back(token);
  request.params.temperature = 0;
  request.params.max_tokens = kTokensPerWindow;
  request.params.ignore_eos = true;
  engine.submit(std::move(request), [&](TokenEvent event) {
    const std::lock_guard lock(mutex);
    if (event.token) times.push_back(Clock::now());
    done = done || event.finish.has_value();
    ended.notify_one();
  });
  std::unique_lock lock(mutex);
  ended.wait(lock, [&] { return done; });
  std::vector<double> gaps;
  for (std::size_t i = 1; i < times.size(); ++i) {
    gaps.push_back(std::chrono::duration<double, std::milli>(times[i] - times[i - 1]).count());
  }
  return gaps;
}

ExpertPlacement turned(const Engine& engine) {
  ExpertPlacement next = engine.expert_placement();
  ++next.number;
  for (auto& row : next.slots) std::rotate(row.begin(), row.begin() + next.slots_per_rank, row.end());
  return next;
}

double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

int run(const Options& options) {
  EngineOptions engine_options;
  engine_options.model_directory = options.model;
  engine_options.threads = 1;
  engine_options.expert_parallel = options.ranks;
  engine_options.max_model_len = 1024;
  const auto engine = start_engine(engine_options, {1100, {}}, make_thread_comms(options.ranks));
  stream(*engine);  // warm
  std::vector<double> still, moving;
  int switches = 0;
  for (int window = 0; window < options.windows; ++window) {
    const auto quiet = stream(*engine);
    still.insert(still.end(), quiet.begin(), quiet.end());
    auto move = engine->move_experts(turned(*engine), {.max_bytes_per_second = options.bytes_per_second});
    const auto busy = stream(*engine);
    moving.insert(moving.end(), busy.begin(), busy.end());
    move.get();
    ++switches;
  }
  std::printf("| p50 still | p50 moving | p99 still | p99 moving | p99 ratio | moves |\n|---|---|---|---|---|---|\n");
  std::printf("| %.2f ms | %.2f ms | %.2f ms | %.2f ms | %.2f | %d |\n", percentile(still, 0.5),
              percentile(moving, 0.5), percentile(still, 0.99), percentile(moving, 0.99),
              percentile(moving, 0.99) / percentile(still, 0.99), switches);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures what a move of experts costs a running stream");
  Options options;
  app.add_option("--model", options.model, "Folder of a checkpoint with experts")->required();
  app.add_option("--ranks", options.ranks, "Ranks, each an expert rank");
  app.add_option("--windows", options.windows, "Pairs of windows");
  app.add_option("--bytes-per-second", options.bytes_per_second, "That a rank may read while experts move");
  CLI11_PARSE(app, argc, argv);
  return run(options);
}
