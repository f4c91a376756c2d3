// Rotary frequencies, computed step by step in the precision of transformers' modeling_rope_utils (fp32 powers and
// quotients, double correction range), so that angles at long positions agree with it.
#pragma once

#include <cstdint>
#include <vector>

namespace millrace::engine {

struct YarnScaling {
  double factor = 1.0;
  double original_max_position = 0.0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  bool truncate = true;  // round the correction range to whole dimensions
};

// (rotary_dim / 2): theta^(-2j / rotary_dim).
std::vector<float> rope_frequencies(double theta, std::int64_t rotary_dim);

// The same, slow frequencies divided by the factor, with a linear ramp between.
std::vector<float> yarn_frequencies(double theta, std::int64_t rotary_dim, const YarnScaling& yarn);

// The factor on cos and sin that YaRN's paper suggests: 0.1 * mscale * ln(factor) + 1.
double yarn_magnitude(double factor, double mscale = 1.0);

}  // namespace millrace::engine
