// Text tables as kubectl prints them: columns of equal width, three spaces between them.
#pragma once

#include <string>
#include <vector>

namespace millrace::cli {

using Row = std::vector<std::string>;

// The first row is the heading.
std::string format_table(const std::vector<Row>& rows);

}  // namespace millrace::cli
