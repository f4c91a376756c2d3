#include "operator/api/quantity.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace millrace::controller {
namespace {

TEST(Quantity, KnowsEverySuffix) {
  EXPECT_DOUBLE_EQ(*parse_quantity("500m"), 0.5);
  EXPECT_DOUBLE_EQ(*parse_quantity("4"), 4);
  EXPECT_DOUBLE_EQ(*parse_quantity("1.5Gi"), 1.5 * (1 << 30));
  EXPECT_DOUBLE_EQ(*parse_quantity("2k"), 2000);
  EXPECT_DOUBLE_EQ(*parse_quantity("1e3"), 1000);
  EXPECT_DOUBLE_EQ(*parse_quantity("1E+3"), 1000);
  EXPECT_DOUBLE_EQ(*parse_quantity("3E"), 3e18);
  EXPECT_DOUBLE_EQ(*quantity_of(nlohmann::json(7)), 7);
}

TEST(Quantity, RefusesOtherText) {
  for (const char* text : {"", "x", "1X", "-1", "1 Gi", "1e", "1e99", ".", "1..2"}) {
    EXPECT_FALSE(parse_quantity(text)) << text;
  }
  EXPECT_FALSE(quantity_of(nlohmann::json(true)));
}

TEST(Quantity, IsWrittenForPeople) {
  EXPECT_EQ(format_bytes(512), "512 B");
  EXPECT_EQ(format_bytes(134217728), "128 MiB");
  EXPECT_EQ(format_bytes(1.5 * (1 << 30)), "1.5 GiB");
}

}  // namespace
}  // namespace millrace::controller
