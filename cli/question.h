// Asks an OpenAI endpoint one question and reads the streamed answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/tls.h"

namespace millrace::cli {

struct Question {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8000;
  std::string model;
  std::string api_key;                                // empty: none is sent
  std::shared_ptr<const common::TlsClient> tls = {};  // null: plain HTTP
  std::string text;
  int max_tokens = 256;
};

struct Answer {
  std::string text;
  std::string reasoning;
  std::chrono::duration<double> first_token{0};  // from sending the request
  std::chrono::duration<double> total{0};
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;

  double tokens_per_second() const;  // after the first token; 0 when there was only one
};

// `on_text` gets each piece of answer or reasoning as it arrives; return false to stop. Throws common::Error when the
// endpoint refuses or the connection breaks.
Answer ask(const Question& question, const std::function<bool(const std::string& piece, bool reasoning)>& on_text);

}  // namespace millrace::cli
