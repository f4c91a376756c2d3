#include "engine/runtime/expert_load_window.h"

#include <gtest/gtest.h>

namespace millrace::engine {
namespace {

TEST(ExpertLoadWindow, SumsWhatIsInsideAndForgetsTheOldest) {
  ExpertLoadWindow window(1, 2, 2);
  window.add(3, {1, 2});
  window.add(1, {10, 20});
  EXPECT_EQ(window.load().steps, 4);
  EXPECT_EQ(window.load().tokens, (std::vector<std::int64_t>{11, 22}));
  window.add(5, {100, 200});
  EXPECT_EQ(window.load().steps, 6);
  EXPECT_EQ(window.load().tokens, (std::vector<std::int64_t>{110, 220}));
}

}  // namespace
}  // namespace millrace::engine
