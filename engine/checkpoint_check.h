// Looks at a checkpoint without an engine: whether ranks could load it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace millrace::engine {

struct CheckpointSummary {
  std::string architecture;
  std::int64_t bytes = 0;  // of its weights
};

// Checks what loading checks: configuration, index, headers, the shape and type of every tensor, and that so many ranks
// can divide the model. Then reads every byte of the weights once: what cannot be read is found, and what was read is
// likely to be in the page cache of the node afterwards. Throws common::Error: kNotFound, kInvalidArgument and
// kDataLoss as loading does, kDataLoss for a file that cannot be read to its end.
CheckpointSummary check_checkpoint(const std::filesystem::path& directory, int tensor_parallel, int expert_parallel);

}  // namespace millrace::engine
