#include "operator/plan/revision.h"

#include <gtest/gtest.h>

#include <functional>

namespace millrace::controller {
namespace {

Spec sample() {
  Spec spec;
  spec.model.name = "tiny";
  spec.model.source = {ModelSource::Kind::kHostPath, "", "/models/tiny"};
  spec.image = "millrace/agent:1";
  return spec;
}

TEST(Revision, StaysWhenOnlyCountZonesOrServiceTypeChange) {
  Spec spec = sample();
  spec.replicas = 7;
  spec.zones = {"a"};
  spec.endpoint.service_type = "LoadBalancer";
  EXPECT_EQ(revision_of(spec), revision_of(sample()));
}

TEST(Revision, ChangesWithEverythingThatShapesPods) {
  const std::vector<std::function<void(Spec&)>> changes{
      [](Spec& spec) { spec.model.name = "other"; },
      [](Spec& spec) { spec.model.revision = "2"; },
      [](Spec& spec) { spec.model.source.path = "/models/other"; },
      [](Spec& spec) { spec.image = "millrace/agent:2"; },
      [](Spec& spec) { spec.parallelism.tensor = 2; },
      [](Spec& spec) { spec.devices.resource = "nvidia.com/gpu"; },
      [](Spec& spec) { spec.resources.limits["memory"] = "1Gi"; },
      [](Spec& spec) {
        spec.pod_template.env = Json::array({{{"name", "A"}, {"value", "1"}}});
      },
      [](Spec& spec) { spec.engine.max_num_seqs = 4; },
      [](Spec& spec) { spec.endpoint.port = 9000; },
      [](Spec& spec) {
        spec.endpoint.api_key = {"keys", "api"};
      },
      [](Spec& spec) { spec.tls = TlsSpec{"chat-tls"}; },
      [](Spec& spec) { spec.drain_timeout_seconds = 5; },
  };
  std::set<std::string> revisions{revision_of(sample())};
  for (const auto& change : changes) {
    Spec spec = sample();
    change(spec);
    revisions.insert(revision_of(spec));
  }
  EXPECT_EQ(revisions.size(), changes.size() + 1);
}

// A different value here would replace every group of every user on an upgrade of the operator.
TEST(Revision, IsTheSameInEveryVersionOfTheOperator) {
  EXPECT_EQ(pod_shape(sample()).dump(),
            R"({"image":"millrace/agent:1","model":"tiny","source":["file","","/models/tiny"]})");
  EXPECT_EQ(short_hash(std::string("millrace")), "5fr97kzk");
}

}  // namespace
}  // namespace millrace::controller
