// Bearer tokens and the files they come from.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "common/http.h"

namespace millrace::common {

// The file's text without surrounding white space. Throws as read_file (common/file.h), and
// kInvalidArgument when there is nothing in it.
std::string read_secret_file(const std::filesystem::path& path);

// Takes the same time wherever the two differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);

// Whether the request carries "Authorization: Bearer <token>".
bool has_bearer_token(const HttpRequest& request, std::string_view token);

}  // namespace millrace::common
