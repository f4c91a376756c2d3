// One HTTP request's choices, from submission to the last byte. Tokens arrive on the engine's thread and are only
// queued there; text is made on the output pool, one job at a time per request.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/admission.h"
#include "agent/engine_slot.h"
#include "agent/generation_plan.h"
#include "agent/metrics.h"
#include "common/http.h"
#include "common/worker_pool.h"

namespace millrace::agent {

// What generations share. Outlives them.
struct GenerationServices {
  EngineSlot& slot;
  const engine::Tokenizer& tokenizer;
  common::WorkerPool& output;
  AgentMetrics& metrics;
};

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  using Clock = std::chrono::steady_clock;

  // Submits all choices and returns. Throws ApiError, and has then submitted nothing that goes on, when the engine
  // refuses; the caller answers. Otherwise the answer goes to `writer`. The ticket lives until the engine has let go of
  // every choice.
  static void start(GenerationPlan plan, GenerationServices services, std::shared_ptr<common::HttpWriter> writer,
                    std::shared_ptr<Admission::Ticket> ticket, Clock::time_point arrival);

  Generation(GenerationPlan plan, GenerationServices services, std::shared_ptr<common::HttpWriter> writer,
             std::shared_ptr<Admission::Ticket> ticket, Clock::time_point arrival);

 private:
  struct Choice {
    ChoiceBuilder builder;
    std::int64_t prompt_tokens;
    std::optional<engine::RequestId> id;
    ChoiceDelta pending;  // streaming: not yet sent; else the whole answer so far
    bool opened = false;
    Clock::time_point first_token{};
    Clock::time_point last_token{};
  };
  struct Arrival {
    std::size_t choice;
    engine::TokenEvent event;
    Clock::time_point time;
  };

  void submit();
  void open();
  void on_event(std::size_t choice, engine::TokenEvent event);  // engine thread
  void on_disconnect();
  void cancel_engine();

  void pump();
  void handle(Arrival arrival);
  void measure(Choice& choice, const Arrival& arrival);
  void report(const Choice& choice, std::string_view reason, Clock::time_point time);
  void stream_choice(std::size_t index);
  void complete();
  void fail(const std::string& message);
  void send(std::string text);
  Usage usage() const;
  double seconds_since_arrival(Clock::time_point time) const;

  GenerationPlan plan_;
  GenerationServices services_;
  std::shared_ptr<common::HttpWriter> writer_;
  std::shared_ptr<Admission::Ticket> ticket_;
  const Clock::time_point arrival_;

  std::mutex mutex_;  // of the three below
  std::vector<Arrival> inbox_;
  bool scheduled_ = true;  // a pump will look at the inbox; true until all choices are submitted
  bool cancelled_ = false;

  // Of the pump.
  std::vector<Choice> choices_;
  std::size_t open_choices_ = 0;
  bool begun_ = false;  // the stream's head is sent
  bool ended_ = false;  // the answer is complete, or nobody wants it
};

}  // namespace millrace::agent
