// What the answers of both routes have in common.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "agent/response_format.h"
#include "common/http.h"

namespace millrace::agent {

using Json = nlohmann::ordered_json;

// {"id", "object", "created", "model"}
Json answer_head(const AnswerHead& head, const char* object);
Json usage_json(const Usage& usage);
Json finish_reason_json(const ChoiceDelta& delta);
Json stop_reason_json(const ChoiceDelta& delta);
// One line; invalid UTF-8 cannot occur, but would be replaced.
std::string dump(const Json& json);
common::HttpResponse json_response(const Json& json);

}  // namespace millrace::agent
