// millrace-agent: serves one pod of a group.
#include <pthread.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>

#include "agent/agent.h"
#include "agent/drain_hook.h"
#include "agent/model_text.h"
#include "agent/version.h"
#include "common/descriptor_limit.h"
#include "common/error.h"
#include "common/file.h"
#include "common/log.h"
#include "engine/checkpoint_check.h"

namespace {

using millrace::agent::AgentOptions;
namespace common = millrace::common;

struct Flags {
  std::string config;
  std::string model;
  std::string admin_token_file;
  std::string api_key_file;
  std::string tls_cert_file;
  std::string tls_key_file;
  std::string bind = "0.0.0.0";
  std::string served_model_name;
  std::string log_level = "info";
  std::string log_format = "text";
  std::int32_t pod_index = 0;
  std::int32_t tensor = 1;
  std::int32_t expert = 1;
  int port = -1;
  int admin_port = -1;
  bool standalone = false;
  bool check_model = false;
  bool drain = false;
  bool open_metrics = false;
  std::vector<std::string> cors_origins;
};

void add_flags(CLI::App& app, Flags& flags) {
  app.set_version_flag("--version", millrace::agent::kVersion);
  app.add_option("--model", flags.model, "Folder of the checkpoint");
  auto* config = app.add_option("--config", flags.config, "Configuration file (JSON)");
  app.add_option("--admin-token-file", flags.admin_token_file, "File with the token of the admin port");
  app.add_option("--api-key-file", flags.api_key_file,
                 "File with the keys, one in a line, of which clients must send one; none: no key is asked for");
  auto* certificate = app.add_option("--tls-cert-file", flags.tls_cert_file,
                                     "Certificate chain in PEM: both ports speak HTTPS; none: HTTP");
  app.add_option("--tls-key-file", flags.tls_key_file, "Private key in PEM")->needs(certificate);
  app.add_option("--pod-index", flags.pod_index, "Index of this pod in its group")->check(CLI::NonNegativeNumber);
  app.add_option("--bind", flags.bind, "Numeric address to listen on")->envname("POD_IP")->capture_default_str();
  auto* standalone =
      app.add_flag("--standalone", flags.standalone, "Run alone, without an operator: all ranks in this process");
  app.add_flag("--check-model", flags.check_model, "Check that ranks can load the model, read all of it once, and end")
      ->excludes(standalone);
  app.add_flag(
         "--drain", flags.drain,
         "Have the agent that runs with these options drain, wait until it takes no more requests, and end: for a "
         "hook before its end")
      ->excludes(standalone);
  auto* tensor = app.add_option("--tensor", flags.tensor, "Ranks, with --standalone or --check-model");
  auto* expert = app.add_option("--expert", flags.expert, "Expert-parallel ranks, with --standalone or --check-model");
  tensor->check(CLI::Range(1, 64));
  expert->check(CLI::Range(1, 64));
  app.add_option("--served-model-name", flags.served_model_name,
                 "Overrides the configuration; default: the folder's name");
  app.add_option("--port", flags.port, "Overrides the configuration")->check(CLI::Range(0, 65535));
  app.add_option("--admin-port", flags.admin_port, "Overrides the configuration")->check(CLI::Range(0, 65535));
  app.add_option("--cors-origin", flags.cors_origins, "Origin of web pages that may call the API, or *; repeatable");
  app.add_flag("--open-metrics", flags.open_metrics, "Serve /metrics without the admin token");
  app.add_option("--log-level", flags.log_level, "debug, info, warn or error")->capture_default_str();
  app.add_option("--log-format", flags.log_format, "text or json")->capture_default_str();
  app.callback([=, &flags] {
    if (flags.model.empty() && !flags.drain) throw CLI::RequiredError("--model");
    if (flags.check_model) return;
    for (const CLI::Option* option : {tensor, expert}) {
      if (!flags.standalone && !option->empty()) throw CLI::RequiresError(option->get_name(), "--standalone");
    }
    if (!flags.standalone && config->empty()) throw CLI::RequiredError("--config or --standalone");
    if (flags.tls_cert_file.empty() != flags.tls_key_file.empty()) throw CLI::RequiredError("--tls-key-file");
    if (!flags.standalone && flags.admin_token_file.empty()) throw CLI::RequiredError("--admin-token-file");
  });
}

common::AgentConfig read_config(const std::string& path) {
  if (path.empty()) return {};
  const auto json = nlohmann::json::parse(common::read_file(path, "configuration file"), nullptr, false);
  if (json.is_discarded()) throw common::Error(common::Code::kInvalidArgument, path + " is not valid JSON");
  try {
    return json.get<common::AgentConfig>();
  } catch (const common::Error& error) {
    throw common::Error(error.code(), path + ": " + error.what());
  }
}

AgentOptions to_options(const Flags& flags) {
  AgentOptions options;
  options.config = read_config(flags.config);
  if (!flags.served_model_name.empty()) options.config.served_model_name = flags.served_model_name;
  if (flags.port >= 0) options.config.port = static_cast<std::uint16_t>(flags.port);
  if (flags.admin_port >= 0) options.config.admin_port = static_cast<std::uint16_t>(flags.admin_port);
  if (flags.open_metrics) options.config.open_metrics = true;
  if (!flags.cors_origins.empty()) options.config.cors_origins = flags.cors_origins;
  options.model_directory = flags.model;
  options.bind = flags.bind;
  options.pod_index = flags.pod_index;
  if (!flags.admin_token_file.empty()) options.admin_token = common::AccessToken::from_file(flags.admin_token_file);
  if (!flags.api_key_file.empty()) options.api_key = common::AccessToken::from_file(flags.api_key_file);
  if (!flags.tls_cert_file.empty()) options.tls = common::TlsServerFiles{flags.tls_cert_file, flags.tls_key_file};
  if (flags.standalone) {
    options.standalone = common::GroupMembership{.generation = 1,
                                                 .group = "standalone",
                                                 .tensor_parallel = flags.tensor,
                                                 .expert_parallel = flags.expert,
                                                 .ranks_per_pod = flags.tensor,
                                                 .peers = {{.pod_index = 0, .host = flags.bind}}};
  }
  return options;
}

// In the background of whatever else runs on the machine.
void check_model(const Flags& flags) {
  static_cast<void>(!nice(19));
  static_cast<void>(millrace::agent::load_model_text(flags.model));
  const auto found = millrace::engine::check_checkpoint(flags.model, flags.tensor, flags.expert);
  common::log_info("the model can be loaded", {{"architecture", found.architecture}, {"bytes", found.bytes}});
}

// Blocked in every thread, so that sigwait() below gets them.
sigset_t block_stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

void run(const Flags& flags) {
  common::configure_log(common::parse_log_format(flags.log_format), common::parse_log_level(flags.log_level));
  if (flags.check_model) return check_model(flags);
  if (flags.drain) {
    const AgentOptions options = to_options(flags);
    return millrace::agent::drain_and_wait(options, options.late_requests.most + std::chrono::seconds(5));
  }
  const sigset_t signals = block_stop_signals();
  common::raise_descriptor_limit();
  const AgentOptions options = to_options(flags);
  if (!options.admin_token) common::log_warn("the admin port asks for no token");
  const std::chrono::seconds grace(options.config.drain_timeout_seconds);
  millrace::agent::Agent agent(options, millrace::agent::engine_runtime());
  int signal = 0;
  sigwait(&signals, &signal);
  common::log_info("stopping", {{"signal", signal}, {"grace_seconds", grace.count()}});
  // A second signal ends the process at once.
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  agent.stop(grace);
  common::log_info("stopped");
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Serves one pod of a Millrace group");
  add_flags(app, flags);
  CLI11_PARSE(app, argc, argv);
  try {
    run(flags);
    return 0;
  } catch (const std::exception& error) {
    const char* what = flags.check_model ? "the model cannot be loaded"
                       : flags.drain     ? "the agent cannot be drained"
                                         : "the agent cannot run";
    common::log_error(what, {{"error", error.what()}});
    return 1;
  }
}
