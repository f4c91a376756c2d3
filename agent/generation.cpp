#include "agent/generation.h"

#include "common/sse.h"

namespace millrace::agent {

void Generation::start(GenerationPlan plan, GenerationServices services, std::shared_ptr<common::HttpWriter> writer,
                       std::shared_ptr<Admission::Ticket> ticket, Clock::time_point arrival) {
  const GenerationAsked asked{.n = plan.n, .max_tokens = plan.choices.front().request.params.max_tokens};
  const auto generation =
      std::make_shared<Generation>(std::move(plan), services, std::move(writer), std::move(ticket), arrival);
  try {
    generation->submit();
  } catch (const common::Error& error) {
    generation->cancel_engine();
    throw from_error(error);
  } catch (const ApiError&) {
    generation->cancel_engine();
    throw;
  }
  services.metrics.asked(asked);
  generation->open();
}

Generation::Generation(GenerationPlan plan, GenerationServices services, std::shared_ptr<common::HttpWriter> writer,
                       std::shared_ptr<Admission::Ticket> ticket, Clock::time_point arrival)
    : plan_(std::move(plan)),
      services_(services),
      writer_(std::move(writer)),
      ticket_(std::move(ticket)),
      arrival_(arrival),
      open_choices_(plan_.choices.size()) {
  choices_.reserve(plan_.choices.size());
  for (GenerationPlan::Choice& choice : plan_.choices) {
    choices_.push_back({.builder = ChoiceBuilder(services_.tokenizer, plan_.tools, std::move(choice.options)),
                        .prompt_tokens = static_cast<std::int64_t>(choice.request.prompt.size()),
                        .id = std::nullopt,
                        .pending = {}});
  }
}

void Generation::submit() {
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    engine::Engine::Submitted submitted;
    const bool has_engine = services_.slot.use([&](engine::Engine& engine) {
      submitted = engine.submit(
          std::move(plan_.choices[i].request),
          [self = shared_from_this(), i](engine::TokenEvent event) { self->on_event(i, std::move(event)); });
    });
    if (!has_engine) throw unavailable("the engine is not running");
    if (!submitted.accepted) {
      services_.metrics.rejected("queue_full");
      throw overloaded("the queue is full; try again later");
    }
    choices_[i].id = submitted.id;
  }
}

// Lets the tokens through.
void Generation::open() {
  writer_->on_disconnect([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->on_disconnect();
  });
  services_.output.post([self = shared_from_this()] { self->pump(); });
}

void Generation::on_event(std::size_t choice, engine::TokenEvent event) {
  {
    const std::lock_guard lock(mutex_);
    inbox_.push_back({choice, std::move(event), Clock::now()});
    if (std::exchange(scheduled_, true)) return;
  }
  services_.output.post([self = shared_from_this()] { self->pump(); });
}

void Generation::on_disconnect() {
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  services_.output.post([self = shared_from_this()] { self->cancel_engine(); });
}

void Generation::cancel_engine() {
  services_.slot.use([this](engine::Engine& engine) {
    for (const Choice& choice : choices_) {
      if (choice.id) engine.cancel(*choice.id);
    }
  });
}

void Generation::pump() {
  while (true) {
    std::vector<Arrival> arrivals;
    {
      const std::lock_guard lock(mutex_);
      if (inbox_.empty()) {
        scheduled_ = false;
        return;
      }
      arrivals.swap(inbox_);
      if (cancelled_) ended_ = true;
    }
    for (Arrival& arrival : arrivals) handle(std::move(arrival));
  }
}

void Generation::handle(Arrival arrival) {
  Choice& choice = choices_[arrival.choice];
  if (arrival.event.times) services_.metrics.engine_finished(*arrival.event.times);
  if (choice.builder.finished()) return;
  const auto& finish = arrival.event.finish;
  if (finish == engine::FinishReason::kError || finish == engine::FinishReason::kAbort) {
    report(choice, finish == engine::FinishReason::kError ? "error" : "abort", arrival.time);
    // An abort that the client did not ask for is the end of the engine.
    return fail(arrival.event.message.empty() ? "the engine has stopped" : arrival.event.message);
  }
  if (ended_) return;
  measure(choice, arrival);
  choice.pending.append(choice.builder.push(arrival.event));
  if (choice.builder.finished()) {
    if (choice.builder.stopped_by_text()) {
      services_.slot.use([&](engine::Engine& engine) { engine.cancel(*choice.id); });
    }
    report(choice, *choice.pending.finish_reason, arrival.time);
    --open_choices_;
  }
  if (plan_.stream) stream_choice(arrival.choice);
  if (open_choices_ == 0) complete();
}

void Generation::measure(Choice& choice, const Arrival& arrival) {
  if (!arrival.event.token) return;
  if (choice.first_token == Clock::time_point{}) {
    choice.first_token = arrival.time;
    services_.metrics.first_token(seconds_since_arrival(arrival.time));
  } else {
    services_.metrics.inter_token(std::chrono::duration<double>(arrival.time - choice.last_token).count());
  }
  choice.last_token = arrival.time;
}

void Generation::report(const Choice& choice, std::string_view reason, Clock::time_point time) {
  // To the engine, and so to the dashboards, a choice that calls tools has stopped.
  services_.metrics.finished({.reason = reason == "tool_calls" ? "stop" : reason,
                              .seconds = seconds_since_arrival(time),
                              .first_token_seconds = seconds_since_arrival(choice.first_token),
                              .prompt_tokens = choice.prompt_tokens,
                              .completion_tokens = choice.builder.completion_tokens()});
}

// Text that is held back goes out with the next event that has some; so do log-probabilities.
void Generation::stream_choice(std::size_t index) {
  Choice& choice = choices_[index];
  std::string text;
  if (!std::exchange(choice.opened, true)) {
    const std::string opening = plan_.format->opening(static_cast<int>(index));
    if (!opening.empty()) text = common::format_sse(opening);
  }
  if (choice.pending.has_text() || choice.pending.finish_reason) {
    const ChoiceDelta delta = std::exchange(choice.pending, {});
    const Usage so_far = usage();
    const Usage* shown = plan_.continuous_usage_stats ? &so_far : nullptr;
    text += common::format_sse(plan_.format->chunk(static_cast<int>(index), delta, shown));
  }
  if (!text.empty()) send(std::move(text));
}

void Generation::complete() {
  if (plan_.stream) {
    std::string text;
    if (plan_.include_usage) text = common::format_sse(plan_.format->usage_chunk(usage()));
    send(text + common::format_sse("[DONE]"));
    writer_->end();
  } else {
    std::vector<ChoiceDelta> whole;
    for (Choice& choice : choices_) whole.push_back(std::move(choice.pending));
    common::HttpResponse response;
    response.body = plan_.format->whole(whole, usage());
    writer_->respond(std::move(response));
  }
  ended_ = true;
}

void Generation::fail(const std::string& message) {
  if (ended_) return;
  cancel_engine();
  const ApiError error = unavailable(message);
  if (begun_) {
    send(common::format_sse(error_body(error)) + common::format_sse("[DONE]"));
    writer_->end();
  } else {
    writer_->respond(error_response(error));
  }
  ended_ = true;
}

void Generation::send(std::string text) {
  if (ended_) return;
  if (!std::exchange(begun_, true)) {
    common::HttpResponse head;
    head.content_type = std::string(common::kSseContentType);
    head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
    head.body = std::move(text);
    writer_->begin(std::move(head));
    return;
  }
  if (!writer_->write(text)) ended_ = true;  // the client is gone; on_disconnect cancels
}

Usage Generation::usage() const {
  Usage usage{.prompt_tokens = plan_.prompt_tokens};
  for (const Choice& choice : choices_) {
    usage.completion_tokens += choice.builder.completion_tokens();
    usage.reasoning_tokens += choice.builder.reasoning_tokens();
  }
  return usage;
}

double Generation::seconds_since_arrival(Clock::time_point time) const {
  return std::max(0.0, std::chrono::duration<double>(time - arrival_).count());
}

}  // namespace millrace::agent
