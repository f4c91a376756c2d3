// Moving experts between ranks while a model runs.
#include "engine/model/expert_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <numeric>
#include <thread>

#include "common/error.h"
#include "engine/model/random_weights.h"
#include "tests/engine/comm/ranks.h"
#include "tests/engine/model/family.h"
#include "tests/engine/model/golden_case.h"
#include "tests/engine/model/model_runner.h"
#include "tests/engine/model/tiny.h"
#include "tests/support/temp_directory.h"

namespace millrace::engine::test {
namespace {

using common::Code;
using common::Error;
using millrace::test::TempDirectory;
using testing::HasSubstr;

constexpr float kStoreTolerance = 1e-4F;

// 16 experts on 2 ranks: 8 slots each and a spare one.
class Store : public testing::Test {
 protected:
  Store() {
    nlohmann::json document = tiny_moe();
    document["num_experts"] = 16;
    config_ = parse(document);
    source_ = std::make_unique<RandomWeights>(config_, 1);
    store_ = std::make_unique<ExpertStore>(*source_, config_, layout_, 0, *backend_, [] {});
  }

  // The local slot of each expert in a layer, -1 elsewhere, by what the back end gets.
  std::vector<std::int32_t> slots_of(std::int64_t layer) {
    const Tensor slots = store_->map(layer).slots;
    std::vector<std::int32_t> values(static_cast<std::size_t>(slots.rows * slots.cols));
    backend_->download(slots, values.data());
    return values;
  }

  void move_to(const ExpertPlacement& next) {
    store_->prepare(next, pace_);
    store_->commit();
  }

  ModelConfig config_;
  RankLayout layout_{0, 2, 2};
  std::unique_ptr<Backend> backend_ = create_backend("cpu", BackendOptions{1, "plain"});
  std::unique_ptr<WeightSource> source_;
  std::unique_ptr<ExpertStore> store_;
  ExpertPace pace_;
};

TEST_F(Store, ReadsOnlyItsOwnExpertsAtFirst) {
  EXPECT_EQ(store_->experts_read(), 2 * 8);  // layers x half of the experts
  const std::vector<std::int32_t> slots = slots_of(0);
  EXPECT_EQ(slots[0], 0);
  EXPECT_EQ(slots[7], 7);
  EXPECT_EQ(slots[8], -1);
}

TEST_F(Store, ASwapReadsOneExpertIntoTheSpareSlot) {
  ExpertPlacement next = store_->placement();
  next.number = 1;
  std::swap(next.slots[0][2], next.slots[0][13]);
  store_->prepare(next, pace_);
  EXPECT_EQ(store_->experts_read(), 16 + 1);
  EXPECT_EQ(slots_of(0)[2], 2) << "nothing changes before the switch";
  store_->commit();
  const std::vector<std::int32_t> slots = slots_of(0);
  EXPECT_EQ(slots[2], -1);
  EXPECT_EQ(slots[13], 8) << "the spare slot";
  EXPECT_EQ(slots[3], 3) << "others stay where they are";
  EXPECT_EQ(store_->placement(), next);
}

TEST_F(Store, GoingBackReadsNothing) {
  const ExpertPlacement first = store_->placement();
  ExpertPlacement next = first;
  std::swap(next.slots[0][2], next.slots[0][13]);
  move_to(next);
  move_to(first);
  EXPECT_EQ(store_->experts_read(), 16 + 1) << "expert 2 was still in its slot";
  EXPECT_EQ(slots_of(0)[2], 2);
}

TEST_F(Store, ServesAPlacementThatReplacesEverything) {
  ExpertPlacement next = store_->placement();
  for (auto& row : next.slots) std::rotate(row.begin(), row.begin() + 8, row.end());
  const PackedExperts* before = &store_->packed(0);
  store_->prepare(next, pace_);
  EXPECT_EQ(&store_->packed(0), before);
  store_->commit();
  for (std::size_t expert = 0; expert < 16; ++expert) EXPECT_EQ(slots_of(1)[expert] >= 0, expert >= 8);
  EXPECT_EQ(store_->experts_read(), 16 + 16);
}

TEST_F(Store, ASecondPreparationReplacesTheFirst) {
  const ExpertPlacement first = store_->placement();
  ExpertPlacement one = first, other = first;
  std::swap(one.slots[0][0], one.slots[0][8]);
  std::swap(other.slots[0][1], other.slots[0][9]);
  store_->prepare(one, pace_);
  store_->prepare(other, pace_);
  store_->commit();
  EXPECT_EQ(store_->placement(), other);
  EXPECT_EQ(slots_of(0)[8], -1);
  EXPECT_GE(slots_of(0)[9], 0);
}

TEST_F(Store, RefusesAPlacementThatDoesNotFitAndKeepsThePreparedOne) {
  ExpertPlacement good = store_->placement();
  std::swap(good.slots[0][0], good.slots[0][8]);
  store_->prepare(good, pace_);
  ExpertPlacement bad = good;
  bad.slots[1][3] = 16;
  try {
    store_->prepare(bad, pace_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("holds expert 16"));
  }
  store_->commit();
  EXPECT_EQ(store_->placement(), good);
}

TEST_F(Store, ListsTheReplicasOfAnExpertInTheOrderOfSlots) {
  ExpertStore store(*source_, config_, layout_, 2, *backend_, [] {});
  EXPECT_EQ(store.experts_read(), 16) << "replicas on one rank share a slot";
  ExpertPlacement next = store.placement();
  next.slots[0][8] = 12;  // expert 12 on both ranks
  next.slots[0][9] = 5;
  ExpertPace pace;
  store.prepare(next, pace);
  store.commit();
  const ExpertMap map = store.map(0);
  std::vector<std::int32_t> count(16);
  backend_->download(map.count, count.data());
  EXPECT_EQ(count[12], 2);
  EXPECT_EQ(count[5], 2);
  EXPECT_EQ(count[0], 1);
  std::vector<std::int32_t> slots(static_cast<std::size_t>(16 * map.slots.cols));
  backend_->download(map.slots, slots.data());
  const auto slot = [&](int expert, int replica) {
    return slots[static_cast<std::size_t>(expert * map.slots.cols + replica)];
  };
  EXPECT_GE(slot(12, 0), 0) << "the first replica is here";
  EXPECT_EQ(slot(12, 1), -1) << "the second on the other rank";
  EXPECT_EQ(slot(5, 0), slot(5, 1));
}

// Two ranks decode; in the middle the placement changes, prepared by another thread while steps run.
TEST(Placement, ChangesBetweenStepsWithoutChangingTheResult) {
  const GoldenCase golden("moe_r2_per_expert");
  const TempDirectory directory;
  golden.write_checkpoint(directory.path(), /*sharded=*/false);
  const std::vector<TokenId>& prompt = golden.prompts()[kStreamPrompt].tokens;
  const std::unique_ptr<Comm> single = make_single_comm();
  ModelRunner reference(directory.path(), RunnerOptions{}, *single);
  std::vector<Row> expected;
  for (const TokenId token : prompt) expected.push_back(reference.prefill(0, {token}).front());

  on_ranks(Transport::kThreads, 2, [&](Comm& comm) {
    RunnerOptions options;
    options.layout = {comm.rank(), 2, 2};
    options.redundant_expert_slots = 2;
    ModelRunner runner(directory.path(), options, comm);
    Model& model = runner.model();
    ExpertPlacement next = model.placement();
    for (std::size_t i = 0; i + 1 < prompt.size(); ++i) {
      // Rotate a little further each time, with replicas of experts 3 and 11 in the surplus slots.
      ++next.number;
      for (auto& row : next.slots) {
        for (std::size_t slot = 0; slot < 20; ++slot) {
          const std::size_t place = slot % 10;
          const std::size_t half = slot / 10;
          row[slot] = place < 8 ? static_cast<std::int32_t>((half * 8 + place + i) % 16) : place == 8 ? 3 : 11;
        }
      }
      std::thread background([&] {
        ExpertPace pace;
        model.prepare_placement(next, pace);
      });
      const std::vector<Row> rows = runner.prefill(0, {prompt[i]});
      background.join();
      model.commit_placement();
      if (comm.rank() == 0) {
        EXPECT_LE(max_difference(rows.front(), expected[i]), kStoreTolerance * max_magnitude(expected[i]))
            << "token " << i;
      }
    }
    EXPECT_EQ(model.placement(), next);
  });
}

TEST(ExpertCounts, CountEveryRoutedTokenOnceAndStartAgain) {
  const GoldenCase golden("moe_r1_text_only");  // top 2 of 8
  const TempDirectory directory;
  golden.write_checkpoint(directory.path(), /*sharded=*/false);
  on_ranks(Transport::kThreads, 2, [&](Comm& comm) {
    RunnerOptions options;
    options.layout = {comm.rank(), 2, 2};
    ModelRunner runner(directory.path(), options, comm);
    runner.prefill(0, {1, 2, 3, 4, 5});
    runner.prefill(0, {6});
    const std::vector<std::int64_t> counts = runner.model().take_expert_counts();
    ASSERT_EQ(counts.size(), 4U * 8U);
    for (std::size_t layer = 0; layer < 4; ++layer) {
      const auto begin = counts.begin() + static_cast<std::ptrdiff_t>(layer * 8);
      EXPECT_EQ(std::accumulate(begin, begin + 8, std::int64_t{0}), 6 * 2) << "also on rank " << comm.rank();
    }
    const std::vector<std::int64_t> after = runner.model().take_expert_counts();
    EXPECT_EQ(std::accumulate(after.begin(), after.end(), std::int64_t{0}), 0);
    comm.barrier();
  });
}

// A follower's counts are taken by nobody: they must not overflow however long it runs.
TEST(ExpertCounts, MoveOutOfTheDeviceBeforeTheyOverflow) {
  const GoldenCase golden("moe_r1_text_only");
  const TempDirectory directory;
  golden.write_checkpoint(directory.path(), /*sharded=*/false);
  const std::unique_ptr<Comm> comm = make_single_comm();
  RunnerOptions options;
  ModelRunner rarely(directory.path(), options, *comm);
  options.max_tokens_counted = 6;  // moved in front of the second and the fourth prefill
  ModelRunner often(directory.path(), options, *comm);
  for (ModelRunner* runner : {&rarely, &often}) {
    for (int i = 0; i < 4; ++i) runner->prefill(i, {1 + i, 2, 3, i == 2 ? 9 : 4});
  }
  EXPECT_EQ(often.model().take_expert_counts(), rarely.model().take_expert_counts());
}

TEST(ExpertCounts, ADenseModelHasNoneAndRefusesAPlacement) {
  const std::unique_ptr<Comm> comm = make_single_comm();
  ModelRunner runner(parse(tiny_dense()), 1, RunnerOptions{}, *comm);
  EXPECT_TRUE(runner.model().take_expert_counts().empty());
  EXPECT_TRUE(runner.model().placement().slots.empty());
  ExpertPace pace;
  EXPECT_THROW(runner.model().prepare_placement(ExpertPlacement{}, pace), Error);
}

}  // namespace
}  // namespace millrace::engine::test
