// kubectl-millrace: found by kubectl as `kubectl millrace` when it is in the PATH. Shows and steers rollouts, and
// gathers support bundles.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <thread>

#include "cli/archive.h"
#include "cli/kubectl_millrace_commands.h"
#include "cli/report.h"
#include "common/error.h"
#include "operator/kube/child_process.h"
#include "operator/kube/kubeconfig.h"
#include "operator/kube/timestamp.h"

namespace millrace::cli {
namespace {

namespace kube = controller::kube;

constexpr std::chrono::seconds kLook{1};
constexpr std::chrono::seconds kRawLimit{30};  // for a log or the metrics of a pod

struct Flags {
  std::string kubeconfig;
  std::string context;
  std::string ns;
  std::string name;
  std::int64_t revision = 0;  // 0: not given
  std::int64_t from = 0;
  std::int64_t to = 0;
  bool watch = false;
  int timeout = 3600;
  std::string operator_ns;
  std::string output;
  bool everywhere = false;
};

std::optional<std::int64_t> given(std::int64_t number) {
  return number > 0 ? std::optional(number) : std::nullopt;
}

struct Session {
  std::unique_ptr<kube::Client> client;
  kube::ObjectKey key;

  explicit Session(const Flags& flags) {
    const kube::ClusterConfig cluster = kube::find_cluster_config(flags.kubeconfig, flags.context);
    kube::ClientOptions options;
    options.user_agent = "kubectl-millrace";
    client = kube::connect(cluster, options);
    key = {flags.ns.empty() ? cluster.ns : flags.ns, flags.name};
  }
  Rollout rollout() const { return {*client, key}; }
};

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

// 0: as asked for; 1: not, or not in time.
int status(const Flags& flags) {
  const Session session(flags);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(flags.timeout);
  std::string shown;
  while (true) {
    const Rollout rollout = session.rollout();
    const std::string text = show_status(rollout);
    if (text != shown) print((shown.empty() ? "" : "\n") + text);
    shown = text;
    const RolloutEnd end = rollout_end(rollout.deployment());
    if (end == RolloutEnd::kReady) return 0;
    if (!flags.watch || end == RolloutEnd::kStalled || std::chrono::steady_clock::now() > deadline) return 1;
    std::this_thread::sleep_for(kLook);
  }
}

// Logs and ports of pods are not objects: kubectl fetches them with the same credentials.
std::string get_raw(const Flags& flags, const std::string& path) {
  std::vector<std::string> args{"get", "--raw", path};
  if (!flags.kubeconfig.empty()) args.insert(args.end(), {"--kubeconfig", flags.kubeconfig});
  if (!flags.context.empty()) args.insert(args.end(), {"--context", flags.context});
  const kube::ChildResult result = kube::run_child("kubectl", args, {}, kRawLimit);
  if (result.exit_status == 0) return result.out;
  throw common::Error(common::Code::kUnavailable, result.timed_out ? "no answer in time" : result.err);
}

std::string report(const Flags& flags) {
  const Session session(flags);
  ReportOptions options;
  options.ns = flags.everywhere ? "" : session.key.ns;
  options.name = flags.name;
  options.operator_namespace = flags.operator_ns;
  options.program_version = MILLRACE_VERSION;
  options.now = std::chrono::system_clock::now();
  options.raw = [&](const std::string& path) { return get_raw(flags, path); };
  const ReportFiles files = gather_report(*session.client, options);
  std::string stem = "millrace-report-" + kube::format_time(options.now);
  std::replace(stem.begin(), stem.end(), ':', '-');
  Archive archive(options.now);
  for (const auto& [path, content] : files) archive.add(stem + "/" + path, content);
  const std::string output = flags.output.empty() ? stem + ".tar.gz" : flags.output;
  std::ofstream file(output, std::ios::binary);
  file << archive.finish();
  if (!file.flush()) throw common::Error(common::Code::kUnavailable, "cannot write " + output);
  return files.at("README.txt") + "\nwritten to " + output + "; look through it before you send it on\n";
}

class Program {
 public:
  Program() {
    app_.set_version_flag("--version", MILLRACE_VERSION);
    app_.require_subcommand(1);
    add("history", "Lists the recorded revisions", [this] { print(show_history(Session(flags_).rollout())); });
    CLI::App* back = add("undo", "Goes back to the revision before, or to one of a number", [this] {
      const Session session(flags_);
      print(undo(*session.client, session.rollout(), given(flags_.revision)));
    });
    back->add_option("--to-revision", flags_.revision, "Number of the revision, as history shows it");
    add("pause", "Stops a rollout where it is", [this] { pause(true); });
    add("resume", "Lets a paused rollout go on", [this] { pause(false); });
    CLI::App* diff = add("diff", "Shows which fields differ between two revisions",
                         [this] { print(show_diff(Session(flags_).rollout(), given(flags_.from), given(flags_.to))); });
    diff->add_option("--from", flags_.from, "Number of the earlier revision; where undo would go when left out");
    diff->add_option("--to", flags_.to, "Number of the later revision; the one asked for when left out");
    CLI::App* show =
        add("status", "Shows where a rollout is; exit status 0 when it is done", [this] { result_ = status(flags_); });
    show->add_flag("-w,--watch", flags_.watch, "Waits until it is done or cannot go on");
    show->add_option("--timeout", flags_.timeout, "Seconds to wait at most")->capture_default_str();
    CLI::App* bundle = add(
        "report", "Gathers a support bundle without secrets: objects, events, logs, metrics; of one deployment or all",
        [this] { print(report(flags_)); });
    bundle->get_option("name")->required(false);
    bundle->add_flag("-A,--all-namespaces", flags_.everywhere, "Of all namespaces");
    bundle->add_option("--operator-namespace", flags_.operator_ns, "Namespace of the operator; all when left out");
    bundle->add_option("-o,--output", flags_.output, "File to write; millrace-report-<time>.tar.gz when left out");
  }

  int run(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
      return result_;
    } catch (const CLI::ParseError& error) {
      return app_.exit(error);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "kubectl millrace: %s\n", error.what());
      return 1;
    }
  }

 private:
  CLI::App* add(const char* name, const char* description, std::function<void()> action) {
    CLI::App* command = app_.add_subcommand(name, description);
    command->add_option("name", flags_.name, "Name of the ModelDeployment")->required();
    command->add_option("-n,--namespace", flags_.ns, "Its namespace; that of the context when left out");
    command->add_option("--kubeconfig", flags_.kubeconfig, "Kubeconfig file");
    command->add_option("--context", flags_.context, "Context of the kubeconfig");
    command->callback(std::move(action));
    return command;
  }

  void pause(bool paused) {
    const Session session(flags_);
    print(set_paused(*session.client, session.rollout(), paused));
  }

  CLI::App app_{"Shows and steers the rollouts of ModelDeployments, and gathers support bundles.", "kubectl millrace"};
  Flags flags_;
  int result_ = 0;
};

}  // namespace
}  // namespace millrace::cli

int main(int argc, char** argv) {
  return millrace::cli::Program().run(argc, argv);
}
