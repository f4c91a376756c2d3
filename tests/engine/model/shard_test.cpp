#include "engine/model/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "tests/engine/model/family.h"

namespace millrace::engine::test {
namespace {

using testing::HasSubstr;

RankLayout layout_of(int rank, int size, int expert_parallel = 1) {
  return {rank, size, expert_parallel};
}

// How often each cell of a coarse picture of the tensor is held: rows and columns cut where any rank's ranges begin or
// end.
class Coverage {
 public:
  void add(const Shard& shard) { shards_.push_back(shard); }

  // Smallest and largest number of ranks that hold a cell of (rows, cols).
  std::pair<int, int> extremes(std::int64_t rows, std::int64_t cols) const {
    const std::vector<std::int64_t> row_cuts = cuts(rows, [](const Shard& s) { return s.rows; });
    const std::vector<std::int64_t> col_cuts = cuts(cols, [](const Shard& s) { return std::vector<Range>{s.columns}; });
    int least = 1 << 30;
    int most = 0;
    for (std::size_t r = 0; r + 1 < row_cuts.size(); ++r) {
      for (std::size_t c = 0; c + 1 < col_cuts.size(); ++c) {
        const int holders = count(row_cuts[r], col_cuts[c]);
        least = std::min(least, holders);
        most = std::max(most, holders);
      }
    }
    return {least, most};
  }

 private:
  static bool contains(const Range& range, std::int64_t at) {
    return at >= range.begin && at < range.begin + range.count;
  }

  int count(std::int64_t row, std::int64_t col) const {
    int holders = 0;
    for (const Shard& shard : shards_) {
      if (!contains(shard.columns, col)) continue;
      for (const Range& rows : shard.rows) holders += contains(rows, row) ? 1 : 0;
    }
    return holders;
  }

  template <typename RangesOf>
  std::vector<std::int64_t> cuts(std::int64_t end, RangesOf ranges_of) const {
    std::vector<std::int64_t> result{0, end};
    for (const Shard& shard : shards_) {
      for (const Range& range : ranges_of(shard)) {
        result.push_back(range.begin);
        result.push_back(range.begin + range.count);
      }
    }
    std::sort(result.begin(), result.end());
    result.erase(std::unique(result.begin(), result.end()), result.end());
    return result;
  }

  std::vector<Shard> shards_;
};

// One tensor of every kind is enough: the layers of a model repeat.
std::vector<TensorSpec> distinct_tensors(const ModelConfig& config) {
  std::vector<TensorSpec> specs = model_tensors(config);
  std::erase_if(specs, [](const TensorSpec& spec) {
    return spec.name.starts_with("layers.") && !spec.name.starts_with("layers.0.") &&
           !spec.name.starts_with("layers.3.");
  });
  return specs;
}

class EveryTensor : public testing::TestWithParam<std::string> {};

TEST_P(EveryTensor, IsCoveredByTheRanksOnce) {
  const ModelConfig config = family_config(GetParam());
  for (const int size : {1, 2, 4, 8}) {
    ASSERT_EQ(validate_layout(config, size, 1), "");
    for (const TensorSpec& spec : distinct_tensors(config)) {
      std::vector<std::int32_t> experts(8);  // of the fused tensors look at the first few
      std::iota(experts.begin(), experts.end(), 0);
      Coverage coverage;
      for (int rank = 0; rank < size; ++rank) coverage.add(shard_of(spec, config, layout_of(rank, size), experts));
      const bool expert = spec.split == Split::kExpertGateUp || spec.split == Split::kExpertDown;
      const std::int64_t rows = expert ? matrix_rows(spec) / spec.shape[0] * 8 : matrix_rows(spec);
      const auto [least, most] = coverage.extremes(rows, matrix_cols(spec));
      const bool replicated = spec.split == Split::kReplicate;
      const auto shared_heads = static_cast<int>(std::max<std::int64_t>(1, size / config.kv_heads));
      const int expected = replicated ? size : spec.split == Split::kKvRows ? shared_heads : 1;
      EXPECT_EQ(least, expected) << spec.name << " over " << size;
      EXPECT_EQ(most, expected) << spec.name << " over " << size;
    }
  }
}

TEST_P(EveryTensor, GivesAllRanksEquallyMuch) {
  const ModelConfig config = family_config(GetParam());
  for (const TensorSpec& spec : distinct_tensors(config)) {
    std::map<std::int64_t, int> sizes;
    for (int rank = 0; rank < 4; ++rank) {
      const Shard shard = shard_of(spec, config, layout_of(rank, 4), std::vector<std::int32_t>{1, 5});
      std::int64_t cells = 0;
      for (const Range& rows : shard.rows) cells += rows.count * shard.columns.count;
      ++sizes[cells];
    }
    EXPECT_EQ(sizes.size(), 1U) << spec.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Family, EveryTensor, testing::ValuesIn(family_names()), [](const auto& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
});

TEST(Shard, DividesTheSectionsOfTheDeltaProjectionSeparately) {
  const ModelConfig config = family_config("27B");  // keys 2048, values 6144
  const TensorSpec spec{"layers.0.linear_attn.in_proj_qkv.weight", {10240, 5120}, Split::kDeltaSections};
  const Shard shard = shard_of(spec, config, layout_of(1, 4), {});
  EXPECT_THAT(shard.rows, testing::ElementsAre(Range{512, 512}, Range{2048 + 512, 512}, Range{4096 + 1536, 1536}));
}

TEST(Shard, SharesAKvHeadWhenThereAreMoreRanksThanHeads) {
  const ModelConfig config = family_config("397B-A17B");  // 2 KV heads of 256
  const TensorSpec spec{"layers.3.self_attn.k_proj.weight", {512, 4096}, Split::kKvRows};
  for (int rank = 0; rank < 8; ++rank) {
    EXPECT_THAT(shard_of(spec, config, layout_of(rank, 8), {}).rows, testing::ElementsAre(Range{rank / 4 * 256, 256}));
  }
}

TEST(Shard, LeavesTheLastRanksTheRestOfTheVocabulary) {
  ModelConfig config = family_config("0.8B");
  config.vocab = 10;
  const TensorSpec spec{kEmbedName, {10, 1024}, Split::kVocabRows};
  const std::vector<Range> expected{{0, 3}, {3, 3}, {6, 3}, {9, 1}};
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(shard_of(spec, config, layout_of(rank, 4), {}).rows.front(), expected[static_cast<std::size_t>(rank)]);
  }
  config.vocab = 5;  // nothing is left for the last rank
  EXPECT_EQ(shard_of(spec, config, layout_of(3, 4), {}).rows.front(), (Range{5, 0}));
  EXPECT_EQ(vocab_share(config, 4), 2);
}

TEST(Shard, DividesExpertsByPlacementAndTheirWidthInsideAGroup) {
  const ModelConfig config = family_config("35B-A3B");  // width 512, hidden 2048
  const std::vector<std::int32_t> experts{7};
  const RankLayout layout = layout_of(3, 4, 2);  // second expert rank, second half of the width
  EXPECT_EQ(layout.expert_rank(), 1);
  const TensorSpec gate_up{"layers.0.mlp.experts.gate_up_proj", {256, 1024, 2048}, Split::kExpertGateUp};
  EXPECT_THAT(shard_of(gate_up, config, layout, experts).rows,
              testing::ElementsAre(Range{7 * 1024 + 256, 256}, Range{7 * 1024 + 512 + 256, 256}));
  const TensorSpec down{"layers.0.mlp.experts.down_proj", {256, 2048, 512}, Split::kExpertDown};
  const Shard shard = shard_of(down, config, layout, experts);
  EXPECT_THAT(shard.rows, testing::ElementsAre(Range{7 * 2048, 2048}));
  EXPECT_EQ(shard.columns, (Range{256, 256}));
}

TEST(Layout, NamesTheSizesThatWouldWork) {
  EXPECT_THAT(validate_layout(family_config("27B"), 3, 1), HasSubstr("sizes that work: 1, 2, 4, 8"));
  EXPECT_THAT(validate_layout(family_config("27B"), 16, 1), HasSubstr("24 query heads cannot be divided by size 16"));
  EXPECT_THAT(validate_layout(family_config("397B-A17B"), 32, 1), HasSubstr("sizes that work: 1, 2, 4, 8, 16"));
  EXPECT_THAT(validate_layout(family_config("QwQ-32B"), 5, 1),
              HasSubstr("neither a divisor nor a multiple of 8 KV heads"));
  EXPECT_THAT(validate_layout(family_config("9B"), 0, 1), HasSubstr("size is 0"));
  EXPECT_THAT(validate_layout(family_config("9B"), 2, 2), HasSubstr("no experts; use 1"));
  EXPECT_THAT(validate_layout(family_config("35B-A3B"), 4, 3),
              HasSubstr("expert_parallel that works with size 4: 1, 2, 4"));
  EXPECT_THAT(validate_layout(family_config("35B-A3B"), 4, 0), HasSubstr("expert_parallel is 0"));
}

TEST(Layout, AcceptsTheSizesOfTheSpecification) {
  for (const char* name : {"397B-A17B", "122B-A10B", "35B-A3B"}) {
    for (const int size : {1, 2, 4, 8, 16}) {
      for (int expert_parallel = 1; expert_parallel <= size; expert_parallel *= 2) {
        EXPECT_EQ(validate_layout(family_config(name), size, expert_parallel), "") << name;
      }
    }
  }
  for (const char* name : {"9B", "4B"}) EXPECT_EQ(validate_layout(family_config(name), 16, 1), "") << name;
  for (const char* name : {"2B", "0.8B", "27B", "QwQ-32B"})
    EXPECT_EQ(validate_layout(family_config(name), 8, 1), "") << name;
}

TEST(Placement, LinearPutsExpertsInOrderAndReplicatesTheFirstOnes) {
  const ExpertPlacement placement = linear_placement(2, 8, 2, 5);
  EXPECT_THAT(placement.slots[1], testing::ElementsAre(0, 1, 2, 3, 0, 4, 5, 6, 7, 4));
  EXPECT_EQ(validate_placement(placement, 2, 8, 2, 5), "");
}

TEST(Placement, LinearServesNumbersThatDoNotDivide) {
  const ExpertPlacement placement = linear_placement(1, 5, 4, 2);
  EXPECT_EQ(validate_placement(placement, 1, 5, 4, 2), "");
}

TEST(Placement, NamesTheFirstFault) {
  const ExpertPlacement good = linear_placement(2, 4, 2, 2);
  ExpertPlacement missing = good;
  missing.slots[1] = {0, 1, 2, 2};
  EXPECT_THAT(validate_placement(missing, 2, 4, 2, 2), HasSubstr("layer 1 has no slot for expert 3"));
  ExpertPlacement foreign = good;
  foreign.slots[0][2] = 4;
  EXPECT_THAT(validate_placement(foreign, 2, 4, 2, 2), HasSubstr("layer 0 slot 2 holds expert 4; accepted: 0 to 3"));
  ExpertPlacement negative = good;
  negative.slots[0][2] = -1;
  EXPECT_THAT(validate_placement(negative, 2, 4, 2, 2), HasSubstr("expert -1"));
  ExpertPlacement narrow = good;
  narrow.slots[1].pop_back();
  EXPECT_THAT(validate_placement(narrow, 2, 4, 2, 2), HasSubstr("layer 1 has 3 slots; accepted: 4"));
  EXPECT_THAT(validate_placement(good, 3, 4, 2, 2), HasSubstr("layers 2; the model runs with 3"));
  EXPECT_THAT(validate_placement(good, 2, 8, 2, 2), HasSubstr("num_experts 4"));
  EXPECT_THAT(validate_placement(good, 2, 4, 4, 2), HasSubstr("ep_size 2"));
  EXPECT_THAT(validate_placement(good, 2, 4, 2, 3), HasSubstr("slots_per_rank 2"));
}

}  // namespace
}  // namespace millrace::engine::test
