#include "engine/checkpoint_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "common/error.h"
#include "engine/model/checkpoint.h"
#include "engine/model/model.h"

namespace millrace::engine {
namespace {

using common::Code;
using common::Error;

constexpr std::size_t kPiece = std::size_t{4} << 20;

// Returns the bytes read.
std::int64_t read_through(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw Error(Code::kNotFound, path.string() + " cannot be opened: " + std::strerror(errno));
  ::posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL);
  std::vector<char> piece(kPiece);
  std::int64_t bytes = 0;
  ssize_t got = 0;
  do {
    got = ::read(file, piece.data(), piece.size());
    if (got > 0) bytes += got;
  } while (got > 0 || (got < 0 && errno == EINTR));
  const int fault = errno;
  ::close(file);
  if (got < 0) {
    throw Error(Code::kDataLoss,
                path.string() + " cannot be read beyond byte " + std::to_string(bytes) + ": " + std::strerror(fault));
  }
  return bytes;
}

}  // namespace

CheckpointSummary check_checkpoint(const std::filesystem::path& directory, int tensor_parallel, int expert_parallel) {
  const ModelConfig config = load_model_config(directory);
  const std::string fault = validate_layout(config, tensor_parallel, expert_parallel);
  if (!fault.empty()) throw Error(Code::kInvalidArgument, fault);
  CheckpointSummary summary{config.architecture, 0};
  const Checkpoint checkpoint(directory, config);
  for (const std::filesystem::path& file : checkpoint.files()) summary.bytes += read_through(file);
  return summary;
}

}  // namespace millrace::engine
