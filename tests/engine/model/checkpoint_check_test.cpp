#include "engine/checkpoint_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.h"
#include "tests/engine/model/family.h"
#include "tests/engine/model/tiny.h"
#include "tests/support/fault.h"

namespace millrace::engine::test {
namespace {

using common::Code;
using millrace::test::Fault;
using millrace::test::fault_of;
using millrace::test::TempDirectory;
using testing::HasSubstr;

class CheckpointCheck : public ::testing::Test {
 protected:
  CheckpointCheck() { write_model(folder_, tiny_moe(), zero_tensors(tiny_moe(), "model.")); }

  Fault check(int tensor, int expert) const {
    return fault_of([&] { check_checkpoint(folder_.path(), tensor, expert); });
  }

  const TempDirectory folder_;
};

TEST_F(CheckpointCheck, ReadsEveryByteOfASoundModel) {
  const CheckpointSummary summary = check_checkpoint(folder_.path(), 1, 1);
  std::int64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder_.path())) {
    if (file.path().extension() == ".safetensors") bytes += static_cast<std::int64_t>(file.file_size());
  }
  EXPECT_EQ(summary.bytes, bytes);
  EXPECT_GT(summary.bytes, 0);
  EXPECT_FALSE(summary.architecture.empty());
}

TEST_F(CheckpointCheck, SaysWhenRanksCannotDivideTheModel) {
  EXPECT_EQ(check(1, 1).message, "accepted");
  EXPECT_EQ(check(7, 1).code, Code::kInvalidArgument);
  EXPECT_THAT(check(7, 1).message, HasSubstr("sizes that work"));
}

TEST_F(CheckpointCheck, FindsAFileThatIsCutShort) {
  for (const auto& file : std::filesystem::directory_iterator(folder_.path())) {
    if (file.path().extension() != ".safetensors") continue;
    std::filesystem::resize_file(file.path(), file.file_size() - 1);
    break;
  }
  EXPECT_EQ(check(1, 1).code, Code::kDataLoss);
}

}  // namespace
}  // namespace millrace::engine::test
