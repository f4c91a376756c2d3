#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace millrace::engine {

// A file mapped for reading. The bytes stay at one address for the life of the object; moving moves ownership.
class MappedFile {
 public:
  // Throws kNotFound when the file cannot be opened, kInternal when it cannot be mapped.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

// Gives the memory of the whole pages inside a part of a mapped file back; a later read maps them again. Any thread.
void drop_pages(std::span<const std::byte> part);

}  // namespace millrace::engine
