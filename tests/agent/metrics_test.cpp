// What Prometheus reads: names, labels, buckets and values, and that docs/metrics.md lists them all.
#include "agent/metrics.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "tests/agent/api_fixture.h"
#include "tests/paths.h"
#include "tests/support/matches.h"

namespace millrace::agent {
namespace {

using namespace std::chrono_literals;
using Names = std::set<std::string>;
using test::matches;

// An agent that has served and refused, so that every family has a series.
MetricsSnapshot busy_snapshot() {
  MetricsSnapshot snapshot;
  snapshot.info.kv_blocks = 100;
  snapshot.info.block_size = 16;
  snapshot.stats.running = 3;
  snapshot.stats.waiting = 2;
  snapshot.stats.prompt_tokens = 40;
  snapshot.stats.generated_tokens = 7;
  snapshot.stats.preemptions = 1;
  snapshot.stats.step_sizes.add(40);
  snapshot.stats.step_sizes.add(3);
  snapshot.status.kv_usage = 0.25;
  snapshot.certificate_end = std::chrono::system_clock::from_time_t(1'800'000'000);
  return snapshot;
}

std::string scrape(AgentMetrics& metrics, const MetricsSnapshot& snapshot = busy_snapshot()) {
  return metrics.render(snapshot).body;
}

std::string series(const std::string& name) {
  return name + "{engine=\"0\",model_name=\"tiny\"}";
}

// Keeps failures short: the text is long.
testing::AssertionResult serves(const std::string& text, const std::string& line) {
  if (text.find(line) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no " << line;
}

TEST(AgentMetrics, TheDocsListEveryMetricAndNoOther) {
  AgentMetrics metrics("tiny", "1");
  metrics.rejected("queue_full");
  metrics.answered("/v1/models", 200);
  std::ifstream file(MILLRACE_SOURCE_DIR "/docs/metrics.md");
  const std::string docs{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(matches(docs, R"(^\| `([a-z_:]+)` \|)"), matches(scrape(metrics), R"(^# TYPE ([a-z_:]+) )"));
}

TEST(AgentMetrics, CarriesTheNamesAndLabelsOfVllm) {
  AgentMetrics metrics("tiny", "1");
  metrics.first_token(0.1);
  metrics.inter_token(0.02);
  metrics.asked({.n = 2, .max_tokens = 50});
  metrics.finished(
      {.reason = "stop", .seconds = 1, .first_token_seconds = 0.1, .prompt_tokens = 3, .completion_tokens = 4});
  const std::string text = scrape(metrics);
  for (const std::string& line :
       {series("vllm:num_requests_running") + " 3", series("vllm:num_requests_waiting") + " 2",
        series("vllm:kv_cache_usage_perc") + " 0.25", series("vllm:prompt_tokens_total") + " 40",
        series("vllm:generation_tokens_total") + " 7", series("vllm:num_preemptions_total") + " 1",
        series("vllm:iteration_tokens_total_sum") + " 43", series("vllm:iteration_tokens_total_count") + " 2",
        series("vllm:time_to_first_token_seconds_count") + " 1",
        series("vllm:inter_token_latency_seconds_count") + " 1", series("vllm:e2e_request_latency_seconds_sum") + " 1",
        series("vllm:request_prompt_tokens_sum") + " 3", series("vllm:request_generation_tokens_sum") + " 4",
        series("vllm:request_params_n_sum") + " 2", series("vllm:request_params_max_tokens_sum") + " 50",
        std::string(R"(vllm:request_success_total{engine="0",model_name="tiny",finished_reason="stop"} 1)"),
        std::string(R"(vllm:request_success_total{engine="0",model_name="tiny",finished_reason="abort"} 0)")}) {
    EXPECT_TRUE(serves(text, line));
  }
}

TEST(AgentMetrics, HasTheBucketsOfVllm) {
  AgentMetrics metrics("tiny", "1");
  const std::string text = scrape(metrics);
  const auto buckets = [&text](const std::string& name) {
    return matches(text, name + R"re(_bucket\{.*le="([^"]+)"\})re");
  };
  const Names request = {"0.3", "0.5", "0.8", "1",  "1.5", "2",   "2.5", "5",   "10",   "15",   "20",
                         "30",  "40",  "50",  "60", "120", "240", "480", "960", "1920", "7680", "+Inf"};
  for (const char* phase :
       {"vllm:e2e_request_latency_seconds", "vllm:request_queue_time_seconds", "vllm:request_prefill_time_seconds",
        "vllm:request_decode_time_seconds", "vllm:request_inference_time_seconds"}) {
    EXPECT_EQ(buckets(phase), request) << phase;
  }
  EXPECT_EQ(buckets("vllm:time_to_first_token_seconds"),
            (Names{"0.001", "0.005", "0.01", "0.02", "0.04", "0.06", "0.08", "0.1", "0.25", "0.5",  "0.75", "1",
                   "2.5",   "5",     "7.5",  "10",   "20",   "40",   "80",   "160", "640",  "2560", "+Inf"}));
  EXPECT_EQ(buckets("vllm:inter_token_latency_seconds"),
            (Names{"0.01", "0.025", "0.05", "0.075", "0.1", "0.15", "0.2", "0.3", "0.4", "0.5",
                   "0.75", "1",     "2.5",  "5",     "7.5", "10",   "20",  "40",  "80",  "+Inf"}));
  EXPECT_EQ(buckets("vllm:iteration_tokens_total"),
            (Names{"1", "8", "16", "32", "64", "128", "256", "512", "1024", "2048", "4096", "8192", "16384", "+Inf"}));
}

TEST(AgentMetrics, TakesThePhasesFromTheEnginesStamps) {
  AgentMetrics metrics("tiny", "1");
  engine::RequestTimes times;
  times.queued = engine::RequestTimes::Clock::time_point(100s);
  times.finished = times.queued + 10s;
  metrics.engine_finished(times);
  EXPECT_TRUE(serves(scrape(metrics), series("vllm:request_queue_time_seconds_count") + " 0")) << "never scheduled";
  times.scheduled = times.queued + 2s;
  metrics.engine_finished(times);
  times.first_token = times.queued + 5s;
  metrics.engine_finished(times);
  const std::string text = scrape(metrics);
  for (const std::string& line :
       {series("vllm:request_queue_time_seconds_sum") + " 4", series("vllm:request_queue_time_seconds_count") + " 2",
        series("vllm:request_inference_time_seconds_sum") + " 16",
        series("vllm:request_prefill_time_seconds_sum") + " 3",
        series("vllm:request_decode_time_seconds_sum") + " 5"}) {
    EXPECT_TRUE(serves(text, line));
  }
}

TEST(AgentMetrics, CountersGoOnWhenTheEngineStartsAgain) {
  AgentMetrics metrics("tiny", "1");
  scrape(metrics);
  MetricsSnapshot restarted;
  restarted.stats.prompt_tokens = 5;
  restarted.stats.step_sizes.add(5);
  const std::string text = scrape(metrics, restarted);
  EXPECT_TRUE(serves(text, series("vllm:prompt_tokens_total") + " 45"));
  EXPECT_TRUE(serves(text, series("vllm:iteration_tokens_total_sum") + " 48"));
  EXPECT_TRUE(serves(text, series("vllm:iteration_tokens_total_count") + " 3"));
}

TEST(AgentMetrics, ARequestIsMeasuredOnItsWay) {
  ApiFixture api(says("one two three"));
  api.answer("/v1/chat/completions", chat_body("Hi", {{"n", 2}, {"max_tokens", 50}}));
  const std::string text = scrape(api.metrics);
  for (const char* name : {"vllm:time_to_first_token_seconds", "vllm:request_queue_time_seconds",
                           "vllm:request_prefill_time_seconds", "vllm:request_decode_time_seconds",
                           "vllm:request_inference_time_seconds", "vllm:e2e_request_latency_seconds"}) {
    EXPECT_TRUE(serves(text, series(std::string(name) + "_count") + " 2")) << "one per choice";
  }
  EXPECT_TRUE(serves(text, series("vllm:request_params_n_sum") + " 2"));
  EXPECT_TRUE(serves(text, series("vllm:request_params_max_tokens_sum") + " 50"));
}

TEST(AgentMetrics, AChoiceCutAtAStopStringHasPhasesToo) {
  ApiFixture api(says("one two three four"));
  api.engine->hold_after(3);
  api.answer("/v1/chat/completions", chat_body("Hi", {{"stop", {"one"}}, {"enable_thinking", false}}));
  ASSERT_TRUE(api.admission.wait_until_idle(20s)) << "the engine has sent its last event";
  EXPECT_TRUE(serves(scrape(api.metrics), series("vllm:request_decode_time_seconds_count") + " 1"));
}

common::AgentLoad load_of(const ApiFixture& api) {
  common::AgentLoad load;
  api.metrics.load().read(load);
  return load;
}

TEST(AgentLoadTotals, CountWhatFinishedAndWhatFailedByTheServersFault) {
  ApiFixture api(says("one two three"));
  api.answer("/v1/chat/completions", chat_body("Hi", {{"n", 2}}));
  EXPECT_EQ(load_of(api).finished, 2U);
  EXPECT_EQ(load_of(api).failed, 0U);
  api.post("/v1/chat/completions", {{"messages", 3}});
  EXPECT_EQ(load_of(api).finished, 2U) << "a bad request says nothing of the server";
  api.engine->hold_after(0);
  const auto writer = api.open("/v1/chat/completions", chat_body("Hi"));
  ASSERT_TRUE(api.engine->wait_for_requests(3));
  api.engine->fail("rank 1 is gone");
  EXPECT_EQ(writer->wait().status, 503);
  EXPECT_EQ(load_of(api).finished, 3U);
  EXPECT_EQ(load_of(api).failed, 1U);
}

TEST(AgentLoadTotals, LeaveOutWhatTheClientGaveUp) {
  ApiFixture api(says("one two three"));
  api.engine->hold_after(1);
  const auto writer = api.open("/v1/chat/completions", chat_body("Hi", {{"stream", true}}));
  ASSERT_TRUE(api.engine->wait_for_tokens(1));
  writer->disconnect();
  ASSERT_TRUE(api.admission.wait_until_idle(20s));
  EXPECT_EQ(load_of(api).finished, 0U);
}

TEST(AgentMetrics, ACallOfToolsIsAStop) {
  ApiFixture api(says("<tool_call>\n<function=f>\n</function>\n</tool_call>"));
  const json tools = {{{"type", "function"}, {"function", {{"name", "f"}}}}};
  api.answer("/v1/chat/completions", chat_body("Hi", {{"tools", tools}, {"enable_thinking", false}}));
  EXPECT_TRUE(serves(scrape(api.metrics), R"(finished_reason="stop"} 1)"));
}

}  // namespace
}  // namespace millrace::agent
