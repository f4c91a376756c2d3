#include "cli/table.h"

#include <algorithm>

namespace millrace::cli {

std::string format_table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      text += row[i] + std::string(last ? 0 : widths[i] - row[i].size() + 3, ' ');
    }
    text += "\n";
  }
  return text;
}

}  // namespace millrace::cli
