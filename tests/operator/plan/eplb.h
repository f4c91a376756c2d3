// The published Expert Parallelism Load Balancer in its global form, as a yardstick. From its description
// (deepseek-ai/EPLB): one slot for each expert; each further slot goes to the expert whose load over its replicas is
// the largest; then, by falling share, each slot goes to the least busy rank with a free place. Where the weights are
// already plays no part.
#pragma once

#include <vector>

#include "operator/plan/experts.h"

namespace millrace::controller::test {

ExpertRow eplb_row(const ExpertShape& shape, const std::vector<double>& load);

}  // namespace millrace::controller::test
