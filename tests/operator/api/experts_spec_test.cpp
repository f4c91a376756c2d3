#include "operator/api/experts_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/manifest.h"
#include "operator/api/model_deployment.h"

namespace millrace::controller {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ParsedSpec parse(const std::string& experts) {
  kube::Object object(kube::kModelDeployment, {"default", "m"});
  const std::string spec =
      "{model: {source: 'file:///models/m'}, parallelism: {tensor: 4, expert: 4}, experts: " + experts + "}";
  object.json()["spec"] = parse_yaml(spec, "spec").at(0);
  return parse_spec(object, UnknownFields::kRefuse);
}

TEST(ExpertsSpec, HasDefaults) {
  const ParsedSpec parsed = parse("{}");
  ASSERT_THAT(parsed.problems, IsEmpty());
  ASSERT_TRUE(parsed.spec.experts);
  EXPECT_TRUE(parsed.spec.experts->move);
  EXPECT_EQ(parsed.spec.experts->redundant_slots_per_rank, 0);
  EXPECT_EQ(parsed.spec.experts->interval_seconds, 60);
  EXPECT_EQ(parsed.spec.experts->max_bytes_per_second, 256 << 20);
}

TEST(ExpertsSpec, ReadsEveryField) {
  const ParsedSpec parsed =
      parse("{mode: Fixed, redundantSlotsPerRank: 2, intervalSeconds: 5, minImprovement: 10, maxBytesPerSecond: 64Mi}");
  ASSERT_THAT(parsed.problems, IsEmpty());
  EXPECT_FALSE(parsed.spec.experts->move);
  EXPECT_EQ(parsed.spec.experts->redundant_slots_per_rank, 2);
  EXPECT_EQ(parsed.spec.experts->interval_seconds, 5);
  EXPECT_EQ(parsed.spec.experts->min_improvement_percent, 10);
  EXPECT_EQ(parsed.spec.experts->max_bytes_per_second, 64 << 20);
}

TEST(ExpertsSpec, NamesWhatIsWrong) {
  EXPECT_THAT(parse("{mode: Sometimes}").problems, Contains(HasSubstr("spec.experts.mode is \"Sometimes\": use Auto")));
  EXPECT_THAT(parse("{intervalSeconds: 0}").problems, Contains(HasSubstr("spec.experts.intervalSeconds")));
  EXPECT_THAT(parse("{minImprovement: 101}").problems, Contains(HasSubstr("spec.experts.minImprovement")));
  EXPECT_THAT(parse("{maxBytesPerSecond: 0}").problems, Contains(HasSubstr("spec.experts.maxBytesPerSecond")));
  EXPECT_THAT(parse("{redundantSlotsPerRank: -1}").problems, Contains(HasSubstr("redundantSlotsPerRank")));
  EXPECT_THAT(parse("{period: 3}").problems, Contains(HasSubstr("spec.experts.period is not a field")));
}

}  // namespace
}  // namespace millrace::controller
