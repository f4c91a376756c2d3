#include "operator/api/rollout_spec.h"

#include <charconv>

namespace millrace::controller {
namespace {

using kube::Json;

constexpr std::int32_t kMostGroups = 1000;
constexpr std::size_t kMaxGoldenPrompts = 16;
constexpr std::size_t kMaxPromptSize = 4096;
constexpr std::size_t kMaxExpectSize = 256;

std::optional<IntOrPercent> int_or_percent(const Json& value, std::int32_t max_percent) {
  if (value.is_number_integer()) {
    const bool large = value.is_number_unsigned() && value.get<std::uint64_t>() > kMostGroups;
    const std::int64_t number = large ? -1 : value.get<std::int64_t>();
    if (number < 0 || number > kMostGroups) return std::nullopt;
    return IntOrPercent{static_cast<std::int32_t>(number), false};
  }
  if (!value.is_string()) return std::nullopt;
  const std::string& text = value.get_ref<const std::string&>();
  if (text.size() < 2 || text.back() != '%') return std::nullopt;
  std::int32_t number = 0;
  const char* end = text.data() + text.size() - 1;
  const auto [last, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || last != end || number < 0 || number > max_percent) return std::nullopt;
  return IntOrPercent{number, true};
}

class RolloutReader {
 public:
  RolloutReader(RolloutSpec& rollout, const std::function<void(FieldReader&)>& finish)
      : rollout_(rollout), finish_(finish) {}

  void read(FieldReader& fields) {
    read_limit(fields, "maxSurge", rollout_.max_surge, 100);
    read_limit(fields, "maxUnavailable", rollout_.max_unavailable, 100);
    if (rollout_.max_surge.value == 0 && rollout_.max_unavailable.value == 0) {
      fields.problem("maxUnavailable", "is 0 and so is maxSurge: nothing could ever be replaced; set one of them to 1");
    }
    fields.read("partition", rollout_.partition, 0, kMostGroups);
    fields.within("canary", [&](FieldReader& canary) { read_canary(canary); });
    finish_(fields);
  }

 private:
  static void read_limit(FieldReader& fields, const char* key, IntOrPercent& value, std::int32_t max_percent) {
    const Json* found = fields.find(key);
    if (found == nullptr) return;
    if (const auto read = int_or_percent(*found, max_percent)) {
      value = *read;
    } else {
      fields.problem(key, "is " + found->dump(-1, ' ', false, Json::error_handler_t::replace) +
                              ": use a number of groups from 0 to 1000, or a percentage such as \"25%\"");
    }
  }

  void read_canary(FieldReader& fields) {
    CanarySpec& canary = rollout_.canary.emplace();
    read_limit(fields, "groups", canary.groups, 100);
    if (canary.groups.value == 0) fields.problem("groups", "is 0: a canary needs at least 1 group");
    fields.read("durationSeconds", canary.duration_seconds, 1, 86400);
    fields.read("readySeconds", canary.ready_seconds, 1, 86400);
    fields.read("minSamples", canary.min_samples, 0, 1'000'000);
    fields.each("goldenPrompts", kMaxGoldenPrompts, "an object with prompt and expect",
                [&](FieldReader& item) { read_golden_prompt(item, canary.golden_prompts.emplace_back()); });
    fields.within("tolerances", [&](FieldReader& tolerances) { read_tolerances(tolerances, canary.tolerances); });
    finish_(fields);
  }

  void read_golden_prompt(FieldReader& fields, GoldenPrompt& golden) {
    fields.read("prompt", golden.prompt, kMaxPromptSize);
    fields.read("expect", golden.expect, kMaxExpectSize);
    fields.read("maxTokens", golden.max_tokens, 1, 1024);
    if (golden.prompt.empty()) fields.problem("prompt", "is missing: write a question");
    if (golden.expect.empty()) fields.problem("expect", "is missing: write what the answer must contain");
    finish_(fields);
  }

  void read_tolerances(FieldReader& fields, CanaryTolerances& tolerances) {
    fields.read("ttftPercent", tolerances.ttft_percent, 0, 1000);
    fields.read("interTokenPercent", tolerances.inter_token_percent, 0, 1000);
    fields.read("errorPercent", tolerances.error_percent, 0, 100);
    finish_(fields);
  }

  RolloutSpec& rollout_;
  const std::function<void(FieldReader&)>& finish_;
};

}  // namespace

std::int32_t IntOrPercent::of(std::int32_t replicas, Rounding rounding) const {
  if (!percent) return value;
  const std::int64_t hundredths = std::int64_t{value} * replicas;
  return static_cast<std::int32_t>((hundredths + (rounding == Rounding::kUp ? 99 : 0)) / 100);
}

void read_rollout(FieldReader& spec, RolloutSpec& rollout, const std::function<void(FieldReader&)>& finish) {
  spec.within("rollout", [&](FieldReader& fields) { RolloutReader(rollout, finish).read(fields); });
  if (const Json* paused = spec.find("paused")) {
    if (paused->is_boolean()) {
      rollout.paused = paused->get<bool>();
    } else {
      spec.problem("paused",
                   "is " + paused->dump(-1, ' ', false, Json::error_handler_t::replace) + ": use true or false");
    }
  }
  spec.read("revisionHistoryLimit", rollout.revision_history_limit, 0, 100);
}

}  // namespace millrace::controller
