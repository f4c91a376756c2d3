#include "tests/agent/api_fixture.h"

#include "common/sse.h"
#include "tests/paths.h"

namespace millrace::agent {

using common::HttpReply;
using common::HttpResponse;

const ModelText& tiny_text() {
  static const ModelText text = load_model_text(MILLRACE_SOURCE_DIR "/examples/models/tiny-moe");
  return text;
}

FakeEngine::Script says(const std::string& text) {
  const auto tokens = tiny_text().tokenizer.encode(text);
  const auto stop = tiny_text().tokenizer.token_to_id("<|im_end|>");
  return [tokens, stop](const engine::Request&) { return token_events(tokens, engine::FinishReason::kStop, stop); };
}

FakeEngine::Script says_and_is_cut(const std::string& text) {
  const auto tokens = tiny_text().tokenizer.encode(text);
  return [tokens](const engine::Request&) { return token_events(tokens, engine::FinishReason::kLength, std::nullopt); };
}

void RecordingWriter::respond(HttpResponse response) {
  const std::lock_guard lock(mutex_);
  response_ = std::move(response);
  ended_ = true;
  changed_.notify_all();
}

void RecordingWriter::begin(HttpResponse head) {
  const std::lock_guard lock(mutex_);
  response_ = std::move(head);
}

bool RecordingWriter::write(std::string_view piece) {
  const std::lock_guard lock(mutex_);
  response_.body += piece;
  return true;
}

void RecordingWriter::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

void RecordingWriter::on_disconnect(std::function<void()> callback) {
  const std::lock_guard lock(mutex_);
  on_disconnect_ = std::move(callback);
  changed_.notify_all();
}

HttpResponse RecordingWriter::wait() {
  std::unique_lock lock(mutex_);
  EXPECT_TRUE(changed_.wait_for(lock, kPatience, [this] { return ended_; })) << "no answer";
  return response_;
}

void RecordingWriter::disconnect() {
  std::function<void()> callback;
  {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [this] { return on_disconnect_ != nullptr; }));
    callback = on_disconnect_;
  }
  callback();
}

ApiFixture::ApiFixture(FakeEngine::Script script, std::optional<std::string> api_key, std::int64_t limit,
                       std::vector<std::string> cors_origins)
    : admission(limit),
      api({.text = tiny_text(),
           .slot = slot,
           .admission = admission,
           .intake = intake,
           .output = output,
           .metrics = metrics,
           .served_model_name = kModelName,
           .version = "test",
           .api_key = std::move(api_key),
           .cors_origins = std::move(cors_origins),
           .group_trouble = [this] { return unready; }}) {
  auto made = std::make_unique<FakeEngine>(std::move(script));
  engine = made.get();
  slot.set(std::move(made));
}

HttpResponse ApiFixture::call(const std::string& method, const std::string& path, const std::string& body,
                              common::HttpHeaders headers) {
  HttpReply reply =
      api.handle({.method = method, .path = path, .query = "", .headers = std::move(headers), .body = body});
  if (auto* response = std::get_if<HttpResponse>(&reply)) return std::move(*response);
  const auto writer = std::make_shared<RecordingWriter>();
  std::get<common::HttpDeferred>(reply)(writer);
  return writer->wait();
}

json ApiFixture::answer(const std::string& path, const json& body) {
  const HttpResponse response = post(path, body);
  EXPECT_EQ(response.status, 200) << response.body;
  return response.status == 200 ? json::parse(response.body) : json(nullptr);
}

std::vector<json> ApiFixture::events(const std::string& path, json body) {
  body["stream"] = true;
  const HttpResponse response = post(path, body);
  EXPECT_EQ(response.content_type, "text/event-stream; charset=utf-8") << response.body;
  std::vector<json> events;
  auto texts = common::SseParser().feed(response.body);
  EXPECT_FALSE(texts.empty());
  if (texts.empty()) return events;
  EXPECT_EQ(texts.back(), "[DONE]");
  texts.pop_back();
  for (const std::string& text : texts) events.push_back(json::parse(text));
  return events;
}

std::shared_ptr<RecordingWriter> ApiFixture::open(const std::string& path, const json& body) {
  HttpReply reply = api.handle({.method = "POST", .path = path, .query = "", .headers = {}, .body = body.dump()});
  const auto writer = std::make_shared<RecordingWriter>();
  if (auto* response = std::get_if<HttpResponse>(&reply)) {
    writer->respond(std::move(*response));
  } else {
    std::get<common::HttpDeferred>(reply)(writer);
  }
  return writer;
}

json chat_body(const std::string& text, const json& more) {
  json body = {{"model", kModelName}, {"messages", {{{"role", "user"}, {"content", text}}}}};
  body.update(more);
  return body;
}

}  // namespace millrace::agent
