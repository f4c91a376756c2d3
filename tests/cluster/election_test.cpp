// Two of the operator's programs, of which one leads: how soon the other writes when that one goes.
#include <chrono>

#include <gmock/gmock.h>

#include "tests/cluster/life_fixture.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

bool makes_a_pod(std::size_t mark) {
  for (const std::string& write : Life::writes_since(mark)) {
    if (write.starts_with("patch pods ") || write.starts_with("create pods ")) return true;
  }
  return false;
}

// Lets the leader go while another waits; returns how long after that the other makes the pod that a user asks for.
milliseconds time_to_write(const std::string& name, void (OperatorProcess::*leave)()) {
  Life::apply(name, {{"replicas", 1}});
  EXPECT_TRUE(eventually([&] { return Life::is_ready(name); })) << Life::get(name).at("/status").dump(1);
  EXPECT_TRUE(eventually([] { return Life::operator_->leads(); }));
  OperatorProcess heir(Life::cluster());
  EXPECT_TRUE(eventually([&] { return heir.ready(); })) << heir.log();
  EXPECT_FALSE(heir.leads());
  const std::size_t mark = std::filesystem::file_size(Life::cluster().audit_log());
  const auto gone = steady_clock::now();
  (Life::operator_.get()->*leave)();
  Life::apply(name, {{"replicas", 2}});
  EXPECT_TRUE(eventually([&] { return makes_a_pod(mark); })) << heir.log();
  const auto time = std::chrono::duration_cast<milliseconds>(steady_clock::now() - gone);
  EXPECT_TRUE(heir.leads());
  EXPECT_TRUE(eventually([&] { return Life::is_ready(name); })) << Life::get(name).at("/status").dump(1);
  EXPECT_EQ(Life::pods(name).size(), 2U);
  Life::operator_->start();
  EXPECT_TRUE(eventually([] { return Life::operator_->ready(); }));
  ::testing::Test::RecordProperty("milliseconds", static_cast<int>(time.count()));
  std::cout << "the other wrote after " << time.count() << " ms\n";
  return time;
}

// The times of the lease leave at most 15 s between the death and its taking.
TEST_F(Life, GoesOnWithAnotherOperatorWithin16SecondsOfTheLeadersDeath) {
  EXPECT_LT(time_to_write("orphan", &OperatorProcess::kill), 16s);
}

TEST_F(Life, GoesOnWithAnotherOperatorWithin2SecondsOfACleanHandOver) {
  EXPECT_LT(time_to_write("handed", &OperatorProcess::terminate), 2s);
}

}  // namespace
}  // namespace millrace::testing
