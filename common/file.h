// Whole files into memory.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::common {

// The bytes of the file. Whatever goes wrong, the message is "<purpose>: cannot read <path>: <the system's reason>":
//   kNotFound          there is no such file
//   kPermissionDenied  it may not be read
//   kInvalidArgument   it is a folder
//   kUnavailable       anything else, such as a device that fails
std::string read_file(const std::filesystem::path& path, std::string_view purpose);

// Empty when there is no such file. Throws as above when there is one that cannot be read.
std::optional<std::string> read_file_if_present(const std::filesystem::path& path, std::string_view purpose);

}  // namespace millrace::common
