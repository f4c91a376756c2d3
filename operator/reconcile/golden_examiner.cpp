#include "operator/reconcile/golden_examiner.h"

#include <algorithm>

#include "common/error.h"
#include "common/stop.h"

namespace millrace::controller {

GoldenExaminer::GoldenExaminer(PromptClient& client, GoldenExaminerOptions options)
    : client_(client), options_(std::move(options)), thread_([this](const std::stop_token& stop) { run(stop); }) {}

GoldenExaminer::~GoldenExaminer() = default;

void GoldenExaminer::examine(const kube::ObjectKey& deployment, GoldenExam exam) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(deployment);
  if (found != entries_.end() && found->second.exam.revision == exam.revision) return;
  entries_[deployment] = {std::move(exam), std::nullopt};
  changed_.notify_all();
}

void GoldenExaminer::forget(const kube::ObjectKey& deployment) {
  const std::lock_guard lock(mutex_);
  entries_.erase(deployment);
}

std::optional<GoldenAnswers> GoldenExaminer::answers(const kube::ObjectKey& deployment,
                                                     const std::string& revision) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(deployment);
  const bool known = found != entries_.end() && found->second.exam.revision == revision;
  return known ? found->second.answers : std::nullopt;
}

void GoldenExaminer::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const auto next =
        std::find_if(entries_.begin(), entries_.end(), [](const auto& entry) { return !entry.second.answers; });
    if (next == entries_.end()) {
      changed_.wait(lock, stop, [this] {
        return std::any_of(entries_.begin(), entries_.end(), [](const auto& entry) { return !entry.second.answers; });
      });
      continue;
    }
    const kube::ObjectKey deployment = next->first;
    const GoldenExam exam = next->second.exam;
    lock.unlock();
    GoldenAnswers answers;
    for (const GoldenPrompt& prompt : exam.prompts) {
      answers.stable.push_back(ask(exam.stable, prompt, stop));
      answers.update.push_back(ask(exam.update, prompt, stop));
    }
    lock.lock();
    if (stop.stop_requested()) return;
    const auto found = entries_.find(deployment);
    if (found == entries_.end() || found->second.exam.revision != exam.revision) continue;  // nobody wants it any more
    found->second.answers = std::move(answers);
    lock.unlock();
    if (options_.on_change) options_.on_change(deployment);
    lock.lock();
  }
}

GoldenAnswer GoldenExaminer::ask(const AgentAddress& leader, const GoldenPrompt& prompt,
                                 const std::stop_token& stop) const {
  GoldenAnswer answer;
  for (int attempt = 0; attempt < options_.attempts; ++attempt) {
    if (attempt > 0 && !common::sleep_unless_stopped(options_.pause, stop)) break;
    try {
      return {client_.ask(leader, prompt.prompt, prompt.max_tokens), ""};
    } catch (const common::Error& error) {
      answer.error = error.what();
    }
  }
  return answer;
}

}  // namespace millrace::controller
