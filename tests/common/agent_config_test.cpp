#include "common/agent_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/error.h"

namespace millrace::common {
namespace {

TEST(AgentConfig, ReadsWhatItWrites) {
  AgentConfig config;
  config.served_model_name = "tiny";
  config.open_metrics = true;
  config.cors_origins = {"https://chat.example.com"};
  const AgentConfig read = nlohmann::json(config).get<AgentConfig>();
  EXPECT_EQ(read.served_model_name, "tiny");
  EXPECT_TRUE(read.open_metrics);
  EXPECT_EQ(read.cors_origins, config.cors_origins);
}

TEST(AgentConfig, KeysThatCameLaterAreWrittenOnlyWhenUsed) {
  const nlohmann::json json = AgentConfig{};
  EXPECT_FALSE(json.contains("open_metrics"));
  EXPECT_FALSE(json.contains("cors_origins"));
}

TEST(AgentConfig, RefusesOriginsThatNoBrowserSends) {
  for (const char* origin : {"chat.example.com", "https://chat.example.com/"}) {
    const nlohmann::json json = {{"cors_origins", {origin}}};
    try {
      json.get<AgentConfig>();
      ADD_FAILURE() << origin;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("cors_origins has the item"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace millrace::common
