// Asks the golden prompts of canaries: one exam at a time, every prompt first of the stable and then of the new
// revision.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "operator/kube/object.h"
#include "operator/plan/golden.h"
#include "operator/probe/prompt_client.h"

namespace millrace::controller {

struct GoldenExam {
  std::string revision;  // the new one
  AgentAddress stable;
  AgentAddress update;
  std::vector<GoldenPrompt> prompts;
};

struct GoldenExaminerOptions {
  int attempts = 3;  // a prompt that gets no answer
  std::chrono::milliseconds pause{2'000};
  std::function<void(const kube::ObjectKey&)> on_change;  // an exam has ended; called on its own thread
};

// Any thread.
class GoldenExaminer {
 public:
  // `client` is borrowed.
  GoldenExaminer(PromptClient& client, GoldenExaminerOptions options);
  ~GoldenExaminer();  // stops when the call in flight ends; whoever owns the client stops that

  GoldenExaminer(const GoldenExaminer&) = delete;
  GoldenExaminer& operator=(const GoldenExaminer&) = delete;

  // Begins unless an exam of this revision has begun; replaces one of another revision.
  void examine(const kube::ObjectKey& deployment, GoldenExam exam);
  void forget(const kube::ObjectKey& deployment);

  // Empty until the exam of this revision has ended.
  std::optional<GoldenAnswers> answers(const kube::ObjectKey& deployment, const std::string& revision) const;

 private:
  struct Entry {
    GoldenExam exam;
    std::optional<GoldenAnswers> answers;
  };

  void run(const std::stop_token& stop);
  GoldenAnswer ask(const AgentAddress& leader, const GoldenPrompt& prompt, const std::stop_token& stop) const;

  PromptClient& client_;
  const GoldenExaminerOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<kube::ObjectKey, Entry> entries_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace millrace::controller
