#include "engine/model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace millrace::engine {
namespace {

float position_frequency(double theta, std::int64_t rotary_dim, std::int64_t j) {
  const float exponent = static_cast<float>(2 * j) / static_cast<float>(rotary_dim);
  return std::pow(static_cast<float>(theta), exponent);
}

// The dimension that turns `rotations` times over the original context.
double correction_dimension(double rotations, double theta, std::int64_t rotary_dim, double max_position) {
  return static_cast<double>(rotary_dim) * std::log(max_position / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(theta));
}

}  // namespace

std::vector<float> rope_frequencies(double theta, std::int64_t rotary_dim) {
  std::vector<float> result;
  for (std::int64_t j = 0; j < rotary_dim / 2; ++j) result.push_back(1.0F / position_frequency(theta, rotary_dim, j));
  return result;
}

std::vector<float> yarn_frequencies(double theta, std::int64_t rotary_dim, const YarnScaling& yarn) {
  double low = correction_dimension(yarn.beta_fast, theta, rotary_dim, yarn.original_max_position);
  double high = correction_dimension(yarn.beta_slow, theta, rotary_dim, yarn.original_max_position);
  if (yarn.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rotary_dim - 1));
  if (low == high) high += 0.001;  // no division by zero

  std::vector<float> result;
  for (std::int64_t j = 0; j < rotary_dim / 2; ++j) {
    const float frequency = position_frequency(theta, rotary_dim, j);
    const float ramp =
        std::clamp((static_cast<float>(j) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0F, 1.0F);
    const float keep = 1.0F - ramp;
    const float interpolated = 1.0F / (static_cast<float>(yarn.factor) * frequency);
    result.push_back(interpolated * (1.0F - keep) + (1.0F / frequency) * keep);
  }
  return result;
}

double yarn_magnitude(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

}  // namespace millrace::engine
