#include "common/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "common/error.h"

namespace millrace::common {
namespace {

class Descriptor {
 public:
  explicit Descriptor(const std::filesystem::path& path) : value_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int value() const { return value_; }

 private:
  int value_;
};

// The errno of the failure, or 0.
int read_into(const std::filesystem::path& path, std::string& text) {
  const Descriptor file(path);
  if (file.value() < 0) return errno;
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t size = ::read(file.value(), buffer.data(), buffer.size());
    if (size == 0) return 0;
    if (size > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(size));
    } else if (errno != EINTR) {
      return errno;
    }
  }
}

Code code_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
      return Code::kPermissionDenied;
    case EISDIR:
      return Code::kInvalidArgument;
    default:
      return Code::kUnavailable;
  }
}

}  // namespace

std::string read_file(const std::filesystem::path& path, std::string_view purpose) {
  std::string text;
  if (const int error = read_into(path, text); error != 0) {
    throw Error(code_of(error), std::string(purpose) + ": cannot read " + path.string() + ": " +
                                    std::generic_category().message(error));
  }
  return text;
}

std::optional<std::string> read_file_if_present(const std::filesystem::path& path, std::string_view purpose) {
  try {
    return read_file(path, purpose);
  } catch (const Error& error) {
    if (error.code() != Code::kNotFound) throw;
    return std::nullopt;
  }
}

}  // namespace millrace::common
