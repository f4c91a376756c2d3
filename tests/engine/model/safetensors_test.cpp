#include "engine/model/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.h"
#include "tests/engine/model/safetensors_writer.h"

namespace millrace::engine::test {
namespace {

using common::Code;
using common::Error;
using testing::HasSubstr;

StoredTensors parse(const std::string& file) {
  return parse_safetensors(std::as_bytes(std::span(file.data(), file.size())), "test.safetensors");
}

std::string error_of(const std::string& file) {
  try {
    parse(file);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kDataLoss);
    return error.what();
  }
  return "accepted";
}

TEST(Safetensors, ReadsNamesTypesShapesAndBytes) {
  const std::string file = safetensors_bytes({{"a", "BF16", {2, 3}, std::string(12, 'a')},
                                              {"b", "F32", {1}, std::string(4, 'b')},
                                              {"scalar", "F16", {}, "ss"},
                                              {"empty", "F32", {0, 4}, ""},
                                              {"other", "I64", {2}, std::string(16, 'o')}});
  const StoredTensors tensors = parse(file);
  ASSERT_EQ(tensors.size(), 5U);
  EXPECT_EQ(tensors.at("a").dtype, DType::kBF16);
  EXPECT_EQ(tensors.at("a").shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(tensors.at("a").bytes.size(), 12U);
  EXPECT_EQ(static_cast<char>(tensors.at("b").bytes[3]), 'b');
  EXPECT_EQ(tensors.at("scalar").dtype, DType::kF16);
  EXPECT_TRUE(tensors.at("empty").bytes.empty());
  EXPECT_FALSE(tensors.at("other").dtype.has_value());
  EXPECT_EQ(tensors.at("other").dtype_name, "I64");
}

TEST(Safetensors, RefusesEveryTruncation) {
  const std::string file = safetensors_bytes({{"a", "BF16", {2, 3}, std::string(12, 'a')}});
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_NE(error_of(file.substr(0, size)), "accepted") << size << " bytes";
  }
}

TEST(Safetensors, RefusesALyingHeaderLength) {
  EXPECT_THAT(error_of(std::string(8, '\xff') + "{}"), HasSubstr("header"));
  EXPECT_THAT(error_of(std::string("\x64\0\0\0\0\0\0\0", 8) + "{}"), HasSubstr("100 bytes, but 2 follow"));
}

struct BadHeader {
  const char* header;
  const char* message;
};

class BadSafetensors : public testing::TestWithParam<BadHeader> {};

TEST_P(BadSafetensors, SaysWhatContradicts) {  // every file has 8 bytes of data
  EXPECT_THAT(error_of(safetensors_bytes(GetParam().header, std::string(8, 'x'))), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Headers, BadSafetensors,
    testing::Values(
        BadHeader{"", "not valid JSON"}, BadHeader{"[]", "not a JSON object"},
        BadHeader{"{\"a\":1}", "tensor a is not described"},
        BadHeader{R"({"a":{"shape":[2],"data_offsets":[0,8]}})", "has no dtype"},
        BadHeader{R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", "has no shape"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[2]}})", "has no data_offsets"},
        BadHeader{R"({"a":{"dtype":"FP4","shape":[2],"data_offsets":[0,8]}})", "unknown dtype"},
        BadHeader{R"({"a":{"dtype":7,"shape":[2],"data_offsets":[0,8]}})", "dtype that is not a string"},
        BadHeader{R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", "shape"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "not an unsigned integer"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", "not an unsigned integer"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", "overflows"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8]}})", "overflows"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", "not two numbers"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "data_offsets [8, 0]"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", "is the file truncated?"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[18446744073709551608,18446744073709551615]}})",
                  "data_offsets"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
                  "spans 8 bytes, but F32 of shape [3] needs 12"},
        BadHeader{
            R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
            "overlaps"},
        BadHeader{
            R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
            "overlaps"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "4 unused bytes before tensor a"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "4 bytes behind the last tensor"},
        BadHeader{
            R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
            "twice"},
        BadHeader{R"({"a":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}})", "twice"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[[[[[[[[[[2]]]]]]]]]],"data_offsets":[0,8]}})", "nests deeper"}));

TEST(Safetensors, RefusesHostileNamesAndNesting) {
  const std::string name(5000, 'n');
  EXPECT_THAT(error_of(safetensors_bytes("{\"" + name + "\":{}}", "")), HasSubstr("a tensor name of 5000 bytes"));
  EXPECT_THAT(error_of(safetensors_bytes("{\"a\":" + std::string(1'000'000, '['), "")), HasSubstr("nests deeper"));
}

TEST(Safetensors, ReadsTheIndexOfShards) {
  const auto files =
      parse_safetensors_index(R"({"metadata":{"total_size":1},"weight_map":{"a":"x.safetensors"}})", "index");
  EXPECT_EQ(files.at("a"), "x.safetensors");
}

TEST(Safetensors, RefusesAnIndexThatLeavesItsDirectory) {
  for (const char* map :
       {R"({"weight_map":{"a":"../x"}})", R"({"weight_map":{"a":"/etc/passwd"}})", R"({"weight_map":{"a":".."}})",
        R"({"weight_map":{"a":""}})", R"({"weight_map":{"a":5}})", R"({"weight_map":[]})", R"({})"}) {
    EXPECT_THROW(parse_safetensors_index(map, "index"), Error) << map;
  }
}

}  // namespace
}  // namespace millrace::engine::test
