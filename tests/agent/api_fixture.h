// The API over a fake engine and the tiny model's tokenizer, called as a function: no sockets.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/openai_api.h"
#include "common/http.h"
#include "tests/agent/fake_engine.h"

namespace millrace::agent {

using nlohmann::json;

inline constexpr const char* kModelName = "tiny";
inline constexpr const char* kChat = "/v1/chat/completions";

// Shared by the tests of the process: loading takes a moment.
const ModelText& tiny_text();

// A script that answers with this text and then stops.
FakeEngine::Script says(const std::string& text);
// The same, cut off by the limit of tokens.
FakeEngine::Script says_and_is_cut(const std::string& text);

// Keeps what a handler answers.
class RecordingWriter : public common::HttpWriter {
 public:
  void respond(common::HttpResponse response) override;
  void begin(common::HttpResponse head) override;
  bool write(std::string_view piece) override;
  void end() override;
  void on_disconnect(std::function<void()> callback) override;

  // Waits, with a deadline, until the answer is complete.
  common::HttpResponse wait();
  void disconnect();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  common::HttpResponse response_;
  std::function<void()> on_disconnect_;
  bool ended_ = false;
};

struct ApiFixture {
  explicit ApiFixture(FakeEngine::Script script, std::optional<std::string> api_key = std::nullopt,
                      std::int64_t limit = 8, std::vector<std::string> cors_origins = {});

  common::HttpResponse call(const std::string& method, const std::string& path, const std::string& body = "",
                            common::HttpHeaders headers = {});
  common::HttpResponse post(const std::string& path, const json& body) { return call("POST", path, body.dump()); }
  // The answer, or a failed expectation and null.
  json answer(const std::string& path, const json& body);
  // The events of a stream without [DONE], which must be last.
  std::vector<json> events(const std::string& path, json body);
  // Starts a request and leaves it open.
  std::shared_ptr<RecordingWriter> open(const std::string& path, const json& body);

  FakeEngine* engine;
  AgentMetrics metrics{kModelName, "test"};
  EngineSlot slot;
  Admission admission;
  std::string unready;
  common::WorkerPool output{2};
  common::WorkerPool intake{2};
  OpenAiApi api;
};

// {"messages": [{"role": "user", "content": text}]} and more fields.
json chat_body(const std::string& text, const json& more = json::object());

}  // namespace millrace::agent
