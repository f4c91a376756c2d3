// A number that is not whole, as status says it: a string, as quantities are, with so many digits behind the point.
#pragma once

#include <string>

namespace millrace::controller {

std::string decimal(double value, int digits);

}  // namespace millrace::controller
