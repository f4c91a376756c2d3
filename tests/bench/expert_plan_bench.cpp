// Time of one expert plan for the largest model: 60 layers of 512 experts on 64 ranks, processor time of one thread.
#include <ctime>

#include <algorithm>
#include <cstdio>
#include <random>

#include "operator/plan/experts.h"

namespace {

using namespace millrace::controller;

constexpr std::int32_t kLayers = 60;
constexpr std::int32_t kExperts = 512;
constexpr std::int32_t kRanks = 64;
constexpr int kRepeats = 7;

double milliseconds_now() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
}

ExpertPlanInput input_with(double sigma, std::int32_t spare) {
  ExpertPlanInput input;
  input.shape = {kExperts, kRanks, kExperts / kRanks + spare, {}};
  input.bytes_per_expert = 1;
  std::mt19937 random(1);
  std::lognormal_distribution<double> draw(0, sigma);
  ExpertRow row;
  for (std::int32_t slot = 0; slot < input.shape.slots(); ++slot) {
    const std::int32_t rank = slot / input.shape.slots_per_rank;
    row.push_back(rank * (kExperts / kRanks) + slot % input.shape.slots_per_rank % (kExperts / kRanks));
  }
  for (std::int32_t layer = 0; layer < kLayers; ++layer) {
    std::vector<double> load(kExperts);
    std::generate(load.begin(), load.end(), [&] { return draw(random) * 1000; });
    input.loads.push_back(std::move(load));
    input.current.push_back(row);
  }
  return input;
}

void drift(ExpertPlanInput& input) {
  std::mt19937 random(2);
  std::lognormal_distribution<double> draw(0, 0.3);
  for (auto& load : input.loads) {
    for (double& value : load) value *= draw(random);
  }
}

ExpertPlan timed(const char* from, double sigma, std::int32_t spare, const ExpertPlanInput& input) {
  double best = 1e9;
  ExpertPlan plan;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const double begin = milliseconds_now();
    plan = plan_experts(input);
    best = std::min(best, milliseconds_now() - begin);
  }
  std::printf("| %.1f | %d | %s | %.3f | %.3f | %.1f %% | %.1f ms |\n", sigma, spare, from, plan.all.before,
              plan.all.after, 100.0 * static_cast<double>(plan.fetches.size()) / (kLayers * input.shape.slots()), best);
  return plan;
}

}  // namespace

int main() {
  std::printf("| skew sigma | spare slots per rank | from | imbalance before | after | slots fetched | best of %d |\n",
              kRepeats);
  std::printf("|---|---|---|---|---|---|---|\n");
  for (const double sigma : {0.5, 1.0, 1.5}) {
    for (const std::int32_t spare : {0, 1}) {
      ExpertPlanInput input = input_with(sigma, spare);
      input.current = timed("the initial placement", sigma, spare, input).placement;
      drift(input);
      timed("the plan, after 30 % drift", sigma, spare, input);
    }
  }
}
