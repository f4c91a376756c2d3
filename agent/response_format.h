// The JSON of answers. The two routes give different shapes to the same deltas.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/choice_builder.h"

namespace millrace::agent {

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t reasoning_tokens = 0;
};

// Same in every chunk of an answer.
struct AnswerHead {
  std::string id;
  std::int64_t created = 0;  // Unix seconds
  std::string model;
  bool include_usage = false;  // of a stream: chunks carry "usage": null until the last
};

// JSON texts on one line. One answer; one thread at a time.
class ResponseFormat {
 public:
  virtual ~ResponseFormat() = default;

  // The event that opens a choice's stream; empty when the format has none.
  virtual std::string opening(int choice) = 0;
  virtual std::string chunk(int choice, const ChoiceDelta& delta, const Usage* usage) = 0;
  // The event with the usage and no choices.
  virtual std::string usage_chunk(const Usage& usage) = 0;
  // The whole answer; `choices` by index.
  virtual std::string whole(const std::vector<ChoiceDelta>& choices, const Usage& usage) = 0;
};

std::unique_ptr<ResponseFormat> make_chat_format(AnswerHead head);

// `echo` holds the prompt's text per choice, to come first; empty without echo.
std::unique_ptr<ResponseFormat> make_completion_format(AnswerHead head, std::vector<std::string> echo);

}  // namespace millrace::agent
