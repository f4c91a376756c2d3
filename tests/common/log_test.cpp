#include "common/log.h"

#include <gtest/gtest.h>

#include "common/error.h"

namespace millrace::common {
namespace {

constexpr auto kTime = "2026-01-02T03:04:05.678Z";

TEST(Log, TextLinesQuoteOnlyWhatNeedsIt) {
  EXPECT_EQ(format_log_line(LogFormat::kText, kTime, LogLevel::kInfo, "group ready",
                            {{"generation", 3}, {"name", "a b"}, {"host", "127.0.0.1"}, {"ok", true}, {"share", 0.5}}),
            "2026-01-02T03:04:05.678Z INFO group ready generation=3 name=\"a b\" host=127.0.0.1 ok=true share=0.5");
}

TEST(Log, JsonLinesEscapeEverything) {
  EXPECT_EQ(format_log_line(LogFormat::kJson, kTime, LogLevel::kWarn, "odd", {{"text", "a\n\"\xff"}, {"n", -1}}),
            R"({"ts":"2026-01-02T03:04:05.678Z","level":"warn","msg":"odd","text":"a\n\")"
            "\xEF\xBF\xBD"
            R"(","n":-1})");
}

TEST(Log, UnknownLevelSaysWhatIsAccepted) {
  EXPECT_EQ(parse_log_level("error"), LogLevel::kError);
  try {
    parse_log_level("loud");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "log level is \"loud\"; use one of: debug, info, warn, error");
  }
}

}  // namespace
}  // namespace millrace::common
