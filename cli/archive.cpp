#include "cli/archive.h"

#include <zlib.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "common/error.h"

namespace millrace::cli {
namespace {

using common::Code;
using common::Error;

constexpr std::size_t kBlock = 512;
constexpr std::size_t kName = 100;
constexpr std::size_t kPrefix = 155;

struct Header {
  std::array<char, kName> name;
  std::array<char, 8> mode, uid, gid;
  std::array<char, 12> size, time;
  std::array<char, 8> checksum;
  char type;
  std::array<char, kName> link;
  std::array<char, 8> magic;  // "ustar\0" "00"
  std::array<char, 32> user, group;
  std::array<char, 8> major, minor;
  std::array<char, kPrefix> prefix;
  std::array<char, 12> unused;
};
static_assert(sizeof(Header) == kBlock);

template <std::size_t N>
void put(std::array<char, N>& field, std::string_view text) {
  std::memcpy(field.data(), text.data(), std::min(text.size(), N));
}

template <std::size_t N>
void put_octal(std::array<char, N>& field, std::uint64_t value) {
  std::snprintf(field.data(), N, "%0*llo", static_cast<int>(N - 1), static_cast<unsigned long long>(value));
}

// A long path is divided at a slash.
void put_path(Header& header, const std::string& path) {
  if (path.size() <= kName) return put(header.name, path);
  const std::size_t slash = path.find('/', path.size() - kName - 1);
  if (slash > kPrefix) {  // or there is none
    throw Error(Code::kInvalidArgument, "the path " + path + " is too long for a tar archive");
  }
  put(header.prefix, path.substr(0, slash));
  put(header.name, path.substr(slash + 1));
}

}  // namespace

void Archive::add(const std::string& path, std::string_view content) {
  Header header{};
  put_path(header, path);
  put_octal(header.mode, 0644);
  put_octal(header.uid, 0);
  put_octal(header.gid, 0);
  put_octal(header.size, content.size());
  put_octal(header.time, static_cast<std::uint64_t>(std::chrono::system_clock::to_time_t(time_)));
  header.type = '0';
  put(header.magic, std::string_view("ustar\0"
                                     "00",
                                     8));
  header.checksum.fill(' ');
  const auto* bytes = reinterpret_cast<const unsigned char*>(&header);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < sizeof header; ++i) sum += bytes[i];
  std::snprintf(header.checksum.data(), 7, "%06llo", static_cast<unsigned long long>(sum));
  tar_.append(reinterpret_cast<const char*>(&header), sizeof header);
  tar_.append(content);
  tar_.append((kBlock - content.size() % kBlock) % kBlock, '\0');
}

std::string Archive::finish() const {
  const std::string whole = tar_ + std::string(2 * kBlock, '\0');
  z_stream stream{};
  constexpr int kGzip = 15 + 16;
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw Error(Code::kInternal, "zlib cannot be set up");
  }
  std::string result(deflateBound(&stream, whole.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(whole.data()));
  stream.avail_in = static_cast<uInt>(whole.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  const int status = deflate(&stream, Z_FINISH);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END) throw Error(Code::kInternal, "zlib ended with status " + std::to_string(status));
  return result;
}

}  // namespace millrace::cli
