// millrace: the command line of Millrace.
#include <cstdio>
#include <exception>

#include "cli/commands.h"

int main(int argc, char** argv) {
  CLI::App app("Runs and inspects Millrace without a cluster.", "millrace");
  app.set_version_flag("--version", MILLRACE_VERSION);
  app.require_subcommand(1);
  int status = 0;
  millrace::cli::add_up_command(app, status);
  millrace::cli::add_plan_command(app, status);
  try {
    app.parse(argc, argv);
    return status;
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "millrace: %s\n", error.what());
    return 1;
  }
}
