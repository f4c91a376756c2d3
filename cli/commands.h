// The commands of `millrace`. Each adds itself to the parser; when it is chosen, `status` becomes its exit status.
#pragma once

#include <CLI/CLI.hpp>

namespace millrace::cli {

void add_up_command(CLI::App& app, int& status);
void add_plan_command(CLI::App& app, int& status);

}  // namespace millrace::cli
