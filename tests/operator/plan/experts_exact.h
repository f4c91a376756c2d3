// The least possible work of the busiest rank of one layer, by exhaustive search with bounds: a judge for small layers.
#pragma once

#include <vector>

#include "operator/plan/experts.h"

namespace millrace::controller::test {

double exact_peak(const ExpertShape& shape, const std::vector<double>& load);

}  // namespace millrace::controller::test
