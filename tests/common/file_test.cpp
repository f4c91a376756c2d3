#include "common/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/fault.h"
#include "tests/support/temp_directory.h"

namespace millrace::common {
namespace {

using test::Fault;
using test::TempDirectory;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Fault fault_of_reading(const std::filesystem::path& path) {
  return test::fault_of([&] { read_file(path, "the purpose"); });
}

TEST(File, ReadsEveryByte) {
  const TempDirectory folder;
  const std::string text = std::string("a\0b\r\n", 5) + std::string(200'000, 'x');
  folder.write("file", text);
  folder.write("empty", "");
  EXPECT_EQ(read_file(folder.path() / "file", "test"), text);
  EXPECT_EQ(read_file_if_present(folder.path() / "empty", "test"), "");
}

TEST(File, ReadsWhatHasNoSize) {
  EXPECT_THAT(read_file("/proc/self/status", "test"), HasSubstr("Pid:"));
}

TEST(File, SaysPurposePathAndReasonOfAnAbsentFile) {
  const TempDirectory folder;
  folder.write("file", "");
  for (const auto& path : {folder.path() / "none", folder.path() / "file/below"}) {
    const Fault fault = fault_of_reading(path);
    EXPECT_EQ(fault.code, Code::kNotFound);
    EXPECT_THAT(fault.message, StartsWith("the purpose: cannot read " + path.string() + ": "));
    EXPECT_FALSE(read_file_if_present(path, "test"));
  }
  EXPECT_THAT(fault_of_reading(folder.path() / "none").message, EndsWith("No such file or directory"));
}

TEST(File, DoesNotTakeAFolderForAnAbsentFile) {
  const TempDirectory folder;
  const Fault fault = fault_of_reading(folder.path());
  EXPECT_EQ(fault.code, Code::kInvalidArgument);
  EXPECT_THAT(fault.message, EndsWith("Is a directory"));
}

TEST(File, DoesNotTakeAForbiddenFileForAnAbsentOne) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read every file";
  const TempDirectory folder;
  folder.write("file", "x");
  ::chmod((folder.path() / "file").c_str(), 0);
  EXPECT_EQ(fault_of_reading(folder.path() / "file").code, Code::kPermissionDenied);
}

}  // namespace
}  // namespace millrace::common
