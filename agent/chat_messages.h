// The messages of a chat request.
#pragma once

#include <vector>

#include "agent/request_fields.h"
#include "engine/text/chat_template.h"

namespace millrace::agent {

inline constexpr std::size_t kMaxMessages = 4096;

// Roles are mapped to those of the chat template (developer is system); `reasoning` and `reasoning_content` are the
// same. Throws ApiError naming the path of the fault, for example messages[1].content[0].type.
std::vector<engine::ChatMessage> parse_chat_messages(const RequestFields& fields);

}  // namespace millrace::agent
