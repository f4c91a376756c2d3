// The operator's own reading of manifests, which the local mode and `millrace plan` rely on, agrees with the CRD: what
// the API server refuses or accepts (crd_test.cpp), the parser refuses or accepts as well.
#include <filesystem>

#include <gtest/gtest.h>

#include "tests/paths.h"

#include "common/error.h"
#include "operator/api/manifest.h"
#include "operator/api/model_deployment.h"

namespace millrace::testing {
namespace {

const std::filesystem::path kSource = MILLRACE_SOURCE_DIR;

// Every problem of every document, or what kept the file from being read.
std::vector<std::string> problems_of(const std::filesystem::path& manifest) {
  std::vector<std::string> all;
  try {
    for (const controller::kube::Object& object : controller::read_manifest(manifest)) {
      const auto parsed = controller::parse_spec(object, controller::UnknownFields::kRefuse);
      all.insert(all.end(), parsed.problems.begin(), parsed.problems.end());
    }
  } catch (const common::Error& error) {
    all.push_back(error.what());
  }
  return all;
}

std::string first_of(const std::vector<std::string>& problems) {
  return problems.empty() ? "" : problems.front();
}

TEST(Manifests, AreRefusedByTheOperatorWhenTheApiServerRefusesThem) {
  for (const auto& entry : std::filesystem::directory_iterator(kSource / "tests/cluster/manifests/bad")) {
    if (entry.path().stem() == "version-unknown") continue;  // the operator never asks for another version
    EXPECT_NE(first_of(problems_of(entry.path())), "") << entry.path().filename();
  }
}

TEST(Manifests, AreAcceptedByTheOperatorWhenTheApiServerAcceptsThem) {
  for (const char* folder : {"tests/cluster/manifests/good", "examples"}) {
    for (const auto& entry : std::filesystem::directory_iterator(kSource / folder)) {
      if (entry.path().extension() != ".yaml") continue;
      EXPECT_EQ(first_of(problems_of(entry.path())), "") << entry.path().filename();
    }
  }
}

}  // namespace
}  // namespace millrace::testing
