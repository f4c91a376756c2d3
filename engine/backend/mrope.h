// Rotary positions with three axes, as tokens of an image or a video have them. Formula: apply_interleaved_mrope of
// transformers' modeling_qwen3_5, where the axes take turns over the frequencies: T H W T H W ... T H.
#pragma once

#include <cstdint>

#include "engine/backend/step.h"

namespace millrace::engine {

// How many frequencies of a head follow height and width; all others follow time. {0, 0} is ordinary rotation.
struct MropeSection {
  std::int32_t height = 0;
  std::int32_t width = 0;
};

// The position by which frequency `j` of token `row` turns.
[[gnu::always_inline]] inline std::int32_t rope_position(const StepInputs& step, const MropeSection& section,
                                                         std::int64_t row, std::int64_t j) {
  if (!step.plane_positions.empty()) {
    if (j % 3 == 1 && j < std::int64_t{3} * section.height) return step.plane_positions.data()[2 * row];
    if (j % 3 == 2 && j < std::int64_t{3} * section.width) return step.plane_positions.data()[2 * row + 1];
  }
  return step.positions.data()[row];
}

}  // namespace millrace::engine
