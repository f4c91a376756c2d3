#include "agent/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <vector>

#include "common/metrics.h"

namespace millrace::agent {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;

// vLLM's buckets, so that quantiles compare.
const Buckets kFirstTokenBuckets = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,  0.25, 0.5,  0.75,
                                    1.0,   2.5,   5.0,  7.5,  10.0, 20.0, 40.0, 80.0, 160., 640., 2560.};
const Buckets kInterTokenBuckets = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,  0.3,  0.4, 0.5,
                                    0.75, 1.0,   2.5,  5.0,   7.5, 10.,  20.0, 40.0, 80.0};
const Buckets kRequestBuckets = {0.3,  0.5,  0.8,  1.0,  1.5,  2.0,   2.5,   5.0,   10.0,  15.0,  20.0,
                                 30.0, 40.0, 50.0, 60.0, 120., 240.0, 480.0, 960.0, 1920., 7680.0};
const Buckets kTokenBuckets = {1,    2,    5,    10,    20,    50,    100,    200,   500,
                               1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000};
const Buckets kChoiceBuckets = {1, 2, 5, 10, 20};
const Buckets kStepBuckets(engine::StepSizes::kBounds.begin(), engine::StepSizes::kBounds.end());

// A counter that follows a total kept elsewhere, across restarts of the engine.
class FollowingCounter {
 public:
  explicit FollowingCounter(prometheus::Counter& counter) : counter_(counter) {}
  void follow(double total) {
    counter_.Increment(total >= last_ ? total - last_ : total);
    last_ = total;
  }

 private:
  prometheus::Counter& counter_;
  double last_ = 0;
};

// The same for a histogram.
class FollowingHistogram {
 public:
  explicit FollowingHistogram(prometheus::Histogram& histogram) : histogram_(histogram) {}
  void follow(const engine::StepSizes& sizes) {
    const bool restarted = sizes.tokens < last_.tokens;
    if (restarted) last_ = {};
    std::vector<double> increments;
    for (std::size_t i = 0; i < sizes.counts.size(); ++i) {
      increments.push_back(static_cast<double>(sizes.counts[i] - last_.counts[i]));
    }
    histogram_.ObserveMultiple(increments, static_cast<double>(sizes.tokens - last_.tokens));
    last_ = sizes;
  }

 private:
  prometheus::Histogram& histogram_;
  engine::StepSizes last_;
};

// vLLM labels its series with the engine's index as well; a group has one engine.
prometheus::Labels labels_of(const std::string& name, const std::string& model_name) {
  if (name.starts_with("vllm:")) return {{"model_name", model_name}, {"engine", "0"}};
  return {{"model_name", model_name}};
}

double seconds(engine::RequestTimes::Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

struct AgentMetrics::Families {
  explicit Families(const std::string& model) : model_name(model) {}

  prometheus::Gauge& gauge(const std::string& name, const std::string& help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(labels_of(name, model_name));
  }
  prometheus::Counter& counter(const std::string& name, const std::string& help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels_of(name, model_name));
  }
  prometheus::Family<prometheus::Counter>& counters(const std::string& name, const std::string& help) {
    return prometheus::BuildCounter().Name(name).Help(help).Labels(labels_of(name, model_name)).Register(registry);
  }
  prometheus::Family<prometheus::Gauge>& gauges(const std::string& name, const std::string& help) {
    return prometheus::BuildGauge().Name(name).Help(help).Labels(labels_of(name, model_name)).Register(registry);
  }
  prometheus::Histogram& histogram(const std::string& name, const std::string& help, const Buckets& buckets) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(labels_of(name, model_name),
                                                                                     buckets);
  }

  prometheus::Registry registry;
  const std::string model_name;

  prometheus::Gauge& running = gauge("vllm:num_requests_running", "Sequences in the running batch.");
  prometheus::Gauge& waiting = gauge("vllm:num_requests_waiting", "Sequences waiting to be scheduled.");
  prometheus::Gauge& kv_usage = gauge("vllm:kv_cache_usage_perc", "Used share of the KV cache blocks, 0 to 1.");
  FollowingCounter prompt_tokens{counter("vllm:prompt_tokens_total", "Prompt tokens processed.")};
  FollowingCounter generation_tokens{counter("vllm:generation_tokens_total", "Tokens generated.")};
  FollowingCounter preemptions{counter("vllm:num_preemptions_total", "Sequences preempted.")};
  prometheus::Histogram& first_token =
      histogram("vllm:time_to_first_token_seconds", "From arrival to the first token.", kFirstTokenBuckets);
  prometheus::Histogram& inter_token =
      histogram("vllm:inter_token_latency_seconds", "Between two tokens of a sequence.", kInterTokenBuckets);
  prometheus::Histogram& per_token = histogram("vllm:request_time_per_output_token_seconds",
                                               "Mean over a sequence, without its first token.", kInterTokenBuckets);
  prometheus::Histogram& e2e =
      histogram("vllm:e2e_request_latency_seconds", "From arrival to the last token.", kRequestBuckets);
  prometheus::Histogram& queue_time =
      histogram("vllm:request_queue_time_seconds", "From arrival in the engine to the first step.", kRequestBuckets);
  prometheus::Histogram& prefill_time =
      histogram("vllm:request_prefill_time_seconds", "From the first step to the first token.", kRequestBuckets);
  prometheus::Histogram& decode_time =
      histogram("vllm:request_decode_time_seconds", "From the first token to the end.", kRequestBuckets);
  prometheus::Histogram& inference_time =
      histogram("vllm:request_inference_time_seconds", "From the first step to the end.", kRequestBuckets);
  FollowingHistogram iteration_tokens{
      histogram("vllm:iteration_tokens_total", "Tokens computed per engine step.", kStepBuckets)};
  prometheus::Histogram& asked_tokens = histogram(
      "vllm:request_params_max_tokens", "Most tokens a request may generate, limited to the context.", kTokenBuckets);
  prometheus::Histogram& asked_choices =
      histogram("vllm:request_params_n", "Choices per prompt that a request asks for.", kChoiceBuckets);
  prometheus::Histogram& prompt_length =
      histogram("vllm:request_prompt_tokens", "Prompt tokens per sequence.", kTokenBuckets);
  prometheus::Histogram& answer_length =
      histogram("vllm:request_generation_tokens", "Generated tokens per sequence.", kTokenBuckets);
  prometheus::Family<prometheus::Counter>& success =
      counters("vllm:request_success_total", "Sequences finished, by reason.");
  prometheus::Family<prometheus::Gauge>& cache_config = gauges("vllm:cache_config_info", "Sizes of the caches.");

  prometheus::Gauge& in_flight = gauge("millrace_requests_in_flight", "Generation requests accepted and not finished.");
  prometheus::Gauge& kv_blocks = gauge("millrace_kv_blocks", "KV cache blocks.");
  prometheus::Gauge& kv_blocks_used = gauge("millrace_kv_blocks_used", "KV cache blocks in use.");
  prometheus::Gauge& state_slots = gauge("millrace_state_slots", "Gated DeltaNet state slots.");
  prometheus::Gauge& state_slots_used = gauge("millrace_state_slots_used", "Gated DeltaNet state slots in use.");
  prometheus::Gauge& weight_bytes = gauge("millrace_weight_bytes", "Bytes of weights of rank 0.");
  FollowingCounter steps{counter("millrace_engine_steps_total", "Engine steps.")};
  FollowingCounter step_seconds{counter("millrace_engine_step_seconds_total", "Time inside engine steps.")};
  prometheus::Gauge& last_step_tokens = gauge("millrace_engine_last_step_tokens", "Rows of the last engine step.");
  prometheus::Gauge& generation = gauge("millrace_group_generation", "Generation of the group's membership in force.");
  prometheus::Gauge& load_progress = gauge("millrace_load_progress", "Share of the weights loaded, 0 to 1.");
  prometheus::Gauge& imbalance = gauge("millrace_expert_load_imbalance",
                                       "Busiest expert over mean expert, mean over the layers; 0 when nothing ran.");
  prometheus::Gauge& placement = gauge("millrace_expert_placement_number", "Number of the expert placement in force.");
  prometheus::Family<prometheus::Gauge>& certificate_end = gauges(
      "millrace_tls_certificate_expiry_timestamp_seconds", "When the certificate of both ports ends, in Unix time.");
  prometheus::Family<prometheus::Gauge>& phase = gauges("millrace_agent_phase", "1 for the agent's current phase.");
  prometheus::Family<prometheus::Counter>& rejected = counters(
      "millrace_requests_rejected_total", "Generation requests refused before they reached the engine, by reason.");
  prometheus::Family<prometheus::Counter>& http =
      counters("millrace_http_requests_total", "Answers by route and status.");
  prometheus::Family<prometheus::Gauge>& build = gauges("millrace_build_info", "1; labels say what was built.");

  std::mutex scrape;  // following counters are read and written by one scrape at a time
};

AgentMetrics::AgentMetrics(const std::string& model_name, const std::string& version)
    : families_(std::make_unique<Families>(model_name)) {
  families_->build.Add({{"version", version}}).Set(1);
  for (const char* reason : {"stop", "length", "abort", "error"}) {
    families_->success.Add({{"finished_reason", reason}});
  }
}

AgentMetrics::~AgentMetrics() = default;

void AgentMetrics::arrived() {
  load_.arrived();
}

void AgentMetrics::first_token(double seconds) {
  load_.first_token(seconds);
  families_->first_token.Observe(seconds);
}
void AgentMetrics::inter_token(double seconds) {
  load_.inter_token(seconds);
  families_->inter_token.Observe(seconds);
}

void AgentMetrics::broke() {
  load_.ended(true);
}

void AgentMetrics::finished(const FinishedChoice& choice) {
  if (choice.reason != "abort") load_.ended(choice.reason == "error");
  families_->success.Add({{"finished_reason", std::string(choice.reason)}}).Increment();
  families_->e2e.Observe(choice.seconds);
  families_->prompt_length.Observe(static_cast<double>(choice.prompt_tokens));
  families_->answer_length.Observe(static_cast<double>(choice.completion_tokens));
  if (choice.completion_tokens > 1) {
    const auto later_tokens = static_cast<double>(choice.completion_tokens - 1);
    families_->per_token.Observe((choice.seconds - choice.first_token_seconds) / later_tokens);
  }
}

void AgentMetrics::engine_finished(const engine::RequestTimes& times) {
  if (!times.scheduled) return;
  families_->queue_time.Observe(seconds(*times.scheduled - times.queued));
  families_->inference_time.Observe(seconds(times.finished - *times.scheduled));
  if (!times.first_token) return;
  families_->prefill_time.Observe(seconds(*times.first_token - *times.scheduled));
  families_->decode_time.Observe(seconds(times.finished - *times.first_token));
}

void AgentMetrics::asked(const GenerationAsked& asked) {
  families_->asked_choices.Observe(asked.n);
  families_->asked_tokens.Observe(static_cast<double>(asked.max_tokens));
}

void AgentMetrics::rejected(std::string_view reason) {
  families_->rejected.Add({{"reason", std::string(reason)}}).Increment();
}

void AgentMetrics::answered(std::string_view route, int status) {
  families_->http.Add({{"route", std::string(route)}, {"code", std::to_string(status)}}).Increment();
}

common::HttpResponse AgentMetrics::render(const MetricsSnapshot& snapshot) {
  Families& f = *families_;
  const std::lock_guard lock(f.scrape);
  const engine::EngineStats& stats = snapshot.stats;
  f.running.Set(static_cast<double>(stats.running));
  f.waiting.Set(static_cast<double>(stats.waiting));
  f.kv_usage.Set(snapshot.status.kv_usage);
  f.prompt_tokens.follow(static_cast<double>(stats.prompt_tokens));
  f.generation_tokens.follow(static_cast<double>(stats.generated_tokens));
  f.preemptions.follow(static_cast<double>(stats.preemptions));
  f.in_flight.Set(static_cast<double>(snapshot.status.in_flight));
  f.kv_blocks.Set(static_cast<double>(snapshot.info.kv_blocks));
  f.kv_blocks_used.Set(static_cast<double>(stats.kv_blocks_used));
  f.state_slots.Set(static_cast<double>(snapshot.info.state_slots));
  f.state_slots_used.Set(static_cast<double>(stats.state_slots_used));
  f.weight_bytes.Set(static_cast<double>(snapshot.info.weight_bytes));
  f.iteration_tokens.follow(stats.step_sizes);
  f.steps.follow(static_cast<double>(stats.steps));
  f.step_seconds.follow(stats.step_seconds);
  f.last_step_tokens.Set(static_cast<double>(stats.last_step_tokens));
  f.generation.Set(static_cast<double>(snapshot.status.generation));
  f.load_progress.Set(snapshot.status.load_progress);
  f.imbalance.Set(expert_load_imbalance(snapshot.expert_load));
  f.placement.Set(static_cast<double>(snapshot.status.placement_number));
  for (int phase = 0; phase <= static_cast<int>(common::AgentPhase::kFailed); ++phase) {
    const auto value = static_cast<common::AgentPhase>(phase);
    f.phase.Add({{"phase", std::string(to_string(value))}}).Set(value == snapshot.status.phase ? 1 : 0);
  }
  prometheus::Gauge& certificate_end = f.certificate_end.Add({});
  if (snapshot.certificate_end) {
    certificate_end.Set(std::chrono::duration<double>(snapshot.certificate_end->time_since_epoch()).count());
  } else {
    f.certificate_end.Remove(&certificate_end);
  }
  if (snapshot.info.block_size > 0) {
    f.cache_config
        .Add({{"block_size", std::to_string(snapshot.info.block_size)},
              {"num_gpu_blocks", std::to_string(snapshot.info.kv_blocks)},  // vLLM's name, on any device
              {"num_state_slots", std::to_string(snapshot.info.state_slots)}})
        .Set(1);
  }
  return common::metrics_response(f.registry.Collect());
}

double expert_load_imbalance(const engine::ExpertLoad& load) {
  if (load.num_layers == 0 || load.num_experts == 0) return 0.0;
  double sum = 0.0;
  int layers = 0;
  for (std::int32_t layer = 0; layer < load.num_layers; ++layer) {
    const auto begin = load.tokens.begin() + static_cast<std::ptrdiff_t>(layer) * load.num_experts;
    std::int64_t total = 0;
    std::int64_t most = 0;
    std::for_each(begin, begin + load.num_experts, [&](std::int64_t tokens) {
      total += tokens;
      most = std::max(most, tokens);
    });
    if (total == 0) continue;  // a dense layer, or nothing ran
    sum += static_cast<double>(most) * load.num_experts / static_cast<double>(total);
    ++layers;
  }
  return layers == 0 ? 0.0 : sum / layers;
}

}  // namespace millrace::agent
