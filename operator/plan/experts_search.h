// The two ways to a better layer: from the placement in force by single exchanges, and from nothing.
#pragma once

#include "operator/plan/experts_layer.h"

namespace millrace::controller {

// Exchanges experts of the busiest rank for others until its work is at most `target` or no single step helps.
void relieve(ExpertLayer& layer, const ExpertRow& origin, double target);

// A placement that disregards the one in force: spare slots to the greatest shares, then the greatest share to the
// least busy rank.
ExpertRow pack_anew(const ExpertShape& shape, const std::vector<double>& load);

// For layers of few slots, where single exchanges get stuck early: changes something at random (always the same way),
// relieves, and keeps what is better, until the busiest rank's work is at most `target` or `rounds` have passed.
void shake(ExpertLayer& layer, double target, int rounds);

// The same ranks under other names and with other slots, so that as much as possible of `origin` stays.
ExpertRow keep_in_place(const ExpertShape& shape, const ExpertRow& row, const ExpertRow& origin);

}  // namespace millrace::controller
