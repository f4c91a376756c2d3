// millrace-operator: reconciles ModelDeployments of a Kubernetes cluster.
#include <sys/random.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/descriptor_limit.h"
#include "common/error.h"
#include "common/http_server.h"
#include "common/log.h"
#include "operator/kube/events.h"
#include "operator/kube/kubeconfig.h"
#include "operator/kube/leader_election.h"
#include "operator/metrics.h"
#include "operator/probe/agent_clients.h"
#include "operator/reconcile/controller.h"

namespace millrace::controller {
namespace {

using common::Code;
using common::Error;
using common::HttpReply;
using common::HttpRequest;
using common::HttpResponse;

constexpr std::chrono::milliseconds kReleaseLimit{2000};  // for giving the lease up at the end

struct Flags {
  std::string kubeconfig;
  std::vector<std::string> namespaces;
  std::string lease_namespace;
  std::string lease_name = "millrace-operator";
  std::string node;
  std::string metrics_address = "0.0.0.0:8080";
  std::string health_address = "0.0.0.0:8081";
  std::string agent_image = "millrace/agent:" MILLRACE_VERSION;
  std::string log_level = "info";
  std::string log_format = "json";
  int workers = 16;
};

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};

HostPort parse_address(const std::string& text, const char* flag) {
  const std::size_t colon = text.rfind(':');
  char* end = nullptr;
  const unsigned long port = colon == std::string::npos ? 65536 : std::strtoul(text.c_str() + colon + 1, &end, 10);
  if (port > 65535 || end == nullptr || *end != '\0' || end == text.c_str() + colon + 1) {
    throw Error(Code::kInvalidArgument, std::string(flag) + " is \"" + text + "\": use address:port, 0.0.0.0:8080");
  }
  return {text.substr(0, colon), static_cast<std::uint16_t>(port)};
}

std::string identity() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  std::uint32_t random = 0;
  static_cast<void>(!getrandom(&random, sizeof random, 0));
  return std::string(host.data()) + "_" + std::to_string(random);
}

common::HttpServerOptions listen_on(const HostPort& where) {
  common::HttpServerOptions options;
  options.address = where.host;
  options.port = where.port;
  options.max_connections = 128;
  return options;
}

HttpResponse plain(int status, std::string text) {
  return {status, std::move(text), "text/plain; charset=utf-8"};
}

void wait_for_signal() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&set, number);
  int number = 0;
  sigwait(&set, &number);
}

void block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

// Returns the exit status: 0 when asked to stop, 1 when leadership was lost.
int run(const Flags& flags) {
  common::configure_log(common::parse_log_format(flags.log_format), common::parse_log_level(flags.log_level));
  const HostPort metrics_at = parse_address(flags.metrics_address, "--metrics-address");
  const HostPort health_at = parse_address(flags.health_address, "--health-address");
  const kube::ClusterConfig cluster = kube::find_cluster_config(flags.kubeconfig);
  block_signals();
  common::raise_descriptor_limit();  // one connection is kept to each agent

  OperatorMetrics metrics(flags.workers, MILLRACE_VERSION);
  std::stop_source shutdown;  // ends what is in flight; a server that hangs holds nothing up
  kube::ClientOptions client_options;
  client_options.observer = &metrics;
  client_options.stop = shutdown.get_token();
  const std::unique_ptr<kube::Client> client = kube::connect(cluster, client_options);
  const std::string name = identity();
  kube::EventRecorder events(*client, "millrace.dev/operator", name);
  HttpAgentClients agents(shutdown.get_token());

  std::atomic<const kube::LeaderElector*> leadership{nullptr};
  const auto leads = [&] {
    const kube::LeaderElector* elector = leadership.load();
    return elector != nullptr && elector->is_leader();
  };
  ControllerOptions options;
  options.namespaces = flags.namespaces;
  options.workers = flags.workers;
  options.reconciler.agent_image = flags.agent_image;
  options.may_write = leads;
  options.events = &events;
  options.queue_observer = &metrics;
  options.observer = &metrics;
  Controller controller(*client, agents.all(), options);

  auto metrics_server =
      std::make_unique<common::HttpServer>(listen_on(metrics_at), [&](HttpRequest request) -> HttpReply {
        if (request.path != "/metrics") return plain(404, "try /metrics\n");
        return metrics.render(controller, leads(), flags.lease_name);
      });
  common::HttpServer health_server(listen_on(health_at), [&](HttpRequest request) -> HttpReply {
    if (request.path == "/livez" || request.path == "/healthz") return plain(200, "ok\n");
    if (request.path != "/readyz") return plain(404, "try /livez or /readyz\n");
    return controller.synced() ? plain(200, "ok\n") : plain(503, "the caches are not filled yet\n");
  });

  bool lost = false;
  kube::LeaderElectionOptions election;
  election.lease = {flags.lease_namespace.empty() ? cluster.ns : flags.lease_namespace, flags.lease_name};
  election.identity = name;
  election.node = flags.node;
  election.is_doubted = [&](const std::string& node) { return controller.is_doubted(node); };
  election.on_started = [](std::int64_t transitions) {
    common::log_info("became the leader", {{"transitions", transitions}});
  };
  election.on_lost = [&] {
    lost = true;
    kill(getpid(), SIGUSR1);
  };
  election.on_error = [](const kube::ApiError& error) {
    if (error.code() == common::Code::kCancelled) return;  // this operator stops
    common::log_warn("the lease could not be read or written", {{"error", error.what()}});
  };
  // A client of its own: renewing must not wait for a request that hangs or is repeated.
  const std::unique_ptr<kube::Client> election_client =
      kube::connect(cluster, kube::client_options_for(election.times, client_options));
  kube::ClientOptions release_options = client_options;
  release_options.stop = {};
  release_options.request_limit = kReleaseLimit;
  release_options.attempts = 1;
  const std::unique_ptr<kube::Client> release_client = kube::connect(cluster, release_options);
  election.release_client = release_client.get();
  kube::LeaderElector elector(*election_client, election);
  leadership = &elector;
  controller.start();
  common::log_info("operator started", {{"cluster", cluster.origin}, {"identity", name}});

  wait_for_signal();
  common::log_info("operator stops", {{"lost_leadership", lost}});
  shutdown.request_stop();
  controller.stop_workers();
  leadership = nullptr;
  elector.stop();          // another may lead while the rest of this process ends
  metrics_server.reset();  // it asks the controller
  controller.stop();
  return lost ? 1 : 0;
}

int main_with(int argc, char** argv) {
  Flags flags;
  CLI::App app("Reconciles ModelDeployments of a Kubernetes cluster.", "millrace-operator");
  app.set_version_flag("--version", MILLRACE_VERSION);
  app.add_option("--kubeconfig", flags.kubeconfig, "Kubeconfig file; the pod's service account when left out");
  app.add_option("--namespaces", flags.namespaces, "Namespaces to serve, separated by commas; all when empty")
      ->delimiter(',');
  app.add_option("--leader-election-namespace", flags.lease_namespace, "Namespace of the Lease; our own when left out");
  app.add_option("--leader-election-id", flags.lease_name, "Name of the Lease")->capture_default_str();
  app.add_option("--node-name", flags.node,
                 "Node that this operator runs on: should its zone be cut off, another leads sooner");
  app.add_option("--metrics-address", flags.metrics_address, "Where /metrics is served")->capture_default_str();
  app.add_option("--health-address", flags.health_address, "Where /livez and /readyz are served")
      ->capture_default_str();
  app.add_option("--agent-image", flags.agent_image, "Image of agents for deployments that name none")
      ->capture_default_str();
  app.add_option("--log-level", flags.log_level, "debug, info, warn or error")->capture_default_str();
  app.add_option("--log-format", flags.log_format, "json or text")->capture_default_str();
  app.add_option("--workers", flags.workers, "Deployments reconciled at the same time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return run(flags);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "millrace-operator: %s\n", error.what());
    return 1;
  }
}

}  // namespace
}  // namespace millrace::controller

int main(int argc, char** argv) {
  return millrace::controller::main_with(argc, argv);
}
