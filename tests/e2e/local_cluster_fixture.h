// A local cluster whose node runs real agents with the tiny model, and a client of it.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "common/http_client.h"
#include "operator/local/local_cluster.h"
#include "tests/support/temp_directory.h"

namespace millrace::e2e {

using Json = nlohmann::json;

class LocalClusterFixture : public ::testing::Test {
 protected:
  void SetUp() override;  // skips when the model has no weights

  // What the nodes have at /models.
  virtual std::filesystem::path models() const;

  // examples/tiny-moe.yaml with changes, a JSON merge patch of its spec.
  void apply(const Json& changes);
  // Applies, opens a port in front of the deployment, and waits until it is ready.
  void serve(const Json& changes);

  Json status();
  // Of the deployment's status; an empty status and reason when it is not there.
  Json condition(const std::string& type);
  bool ready();  // for the generation that was asked for

  // Looks until it holds; false after minutes.
  static bool eventually(const std::function<bool()>& holds);

  // A call of /v1/chat/completions at temperature 0 for exactly `max_tokens` tokens.
  common::HttpCall question(const std::string& prompt, int max_tokens, bool stream = false) const;
  // False for any answer but 200, and for none.
  bool answers(const common::HttpCall& call) const;

  // The process of an agent of this cluster, by the pod index that it was started with; -1: none.
  static pid_t agent_with_index(const std::string& index);

  std::unique_ptr<controller::local::LocalCluster> cluster_;

 private:
  const test::TempDirectory folder_;
  std::uint16_t port_ = 0;
};

}  // namespace millrace::e2e
