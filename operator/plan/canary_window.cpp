#include "operator/plan/canary_window.h"

namespace millrace::controller {
namespace {

using common::AgentLoad;
using common::LatencyHistogram;

void add_growth(LatencyCounts& sum, const LatencyHistogram& first, const LatencyHistogram& last) {
  sum.resize(LatencyHistogram::kBuckets, 0);
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += last.counts()[i] - first.counts()[i];
}

void add_growth(RevisionSamples& sum, const AgentLoad& first, const AgentLoad& last) {
  sum.requests += last.finished - first.finished;
  sum.failed += last.failed - first.failed;
  add_growth(sum.first_token, first.first_token, last.first_token);
  add_growth(sum.inter_token, first.inter_token, last.inter_token);
}

bool began_anew(const AgentLoad& before, const AgentLoad& after) {
  return after.finished < before.finished || after.failed < before.failed ||
         !after.first_token.since(before.first_token) || !after.inter_token.since(before.inter_token);
}

}  // namespace

void CanaryWindow::read(const std::string& pod_uid, bool update, const AgentLoad& load) {
  const auto [found, added] = processes_.try_emplace(pod_uid, Process{update, load, load});
  if (added) return;
  Process& process = found->second;
  if (began_anew(process.last, load)) {
    add_growth(process.update ? ended_.update : ended_.stable, process.first, process.last);
    process.first = {};
  }
  process.last = load;
}

CanarySamples CanaryWindow::samples() const {
  CanarySamples sum = ended_;
  for (const auto& [uid, process] : processes_) {
    add_growth(process.update ? sum.update : sum.stable, process.first, process.last);
  }
  return sum;
}

}  // namespace millrace::controller
