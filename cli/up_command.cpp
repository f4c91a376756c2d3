// `millrace up`: the operator and its cluster in this process, agents as child processes.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <thread>

#include "cli/commands.h"
#include "cli/question.h"
#include "cli/up_progress.h"
#include "common/base64.h"
#include "common/error.h"
#include "common/http_server.h"
#include "common/log.h"
#include "operator/api/manifest.h"
#include "operator/api/model_deployment.h"
#include "operator/local/local_cluster.h"
#include "operator/metrics.h"

namespace millrace::cli {
namespace {

namespace fs = std::filesystem;
namespace kube = controller::kube;
using common::Code;
using common::Error;
using kube::Json;
using std::chrono::milliseconds;

constexpr milliseconds kLook{100};
constexpr int kWorkers = 2;

struct UpFlags {
  std::string file;
  std::string models_dir;
  std::string question = "What is 27 + 15?";
  std::string log_level = "error";
  std::vector<std::string> zones{"a", "b", "c"};
  int port = 8000;
  int timeout = 600;
  int metrics_port = -1;  // none
  bool once = false;
  bool no_ask = false;
};

const sigset_t& our_signals() {
  static const sigset_t kSet = [] {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
    return set;
  }();
  return kSet;
}

// The next of our signals; 0 when none came within the limit.
int wait_signal(milliseconds limit) {
  const timespec time{limit.count() / 1000, (limit.count() % 1000) * 1'000'000};
  const int number = sigtimedwait(&our_signals(), nullptr, &time);
  return number > 0 ? number : 0;
}

std::vector<fs::path> program_folders() {
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  return {here, here / "../agent", here / "../bin"};
}

const kube::ResourceKind& kind_named(const kube::Object& object) {
  static const kube::ResourceKind* const kKinds[] = {&kube::kModelDeployment, &kube::kSecret, &kube::kConfigMap};
  for (const kube::ResourceKind* kind : kKinds) {
    if (object.kind() == kind->kind && object.api_version() == kind->api_version()) return *kind;
  }
  throw Error(Code::kInvalidArgument, object.api_version() + " " + object.kind() + " " + object.name() +
                                          " is of a kind that the local mode does not have: use ModelDeployment "
                                          "(millrace.dev/v1alpha1), Secret and ConfigMap");
}

// A folder that goes away with the run.
class WorkFolder {
 public:
  WorkFolder() {
    std::string pattern = (fs::temp_directory_path() / "millrace-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw Error(Code::kUnavailable, "no folder can be made in " + pattern);
    path_ = pattern;
  }
  ~WorkFolder() {
    std::error_code ignored;
    if (!keep_) fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  const fs::path& path() const { return path_; }
  void keep() { keep_ = true; }

 private:
  fs::path path_;
  bool keep_ = false;
};

class Up {
 public:
  explicit Up(const UpFlags& flags) : flags_(flags) {}

  int run() {
    const std::vector<kube::Object> objects = read_objects();
    pthread_sigmask(SIG_BLOCK, &our_signals(), nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    cluster_ = std::make_unique<controller::local::LocalCluster>(cluster_options());
    if (flags_.metrics_port >= 0) serve_metrics();
    apply(objects);
    expose(objects);
    progress_.say("schedule", "applied " + flags_.file);
    const int status = live();
    progress_.say("stop", "ending every process");
    metrics_server_.reset();
    cluster_.reset();
    if (status != 0) {
      work_.keep();
      std::fprintf(stderr, "logs of the agents are in %s\n", (work_.path() / "logs").c_str());
    }
    return status;
  }

 private:
  controller::local::LocalClusterOptions cluster_options() {
    controller::local::LocalClusterOptions options;
    options.queue_observer = &metrics_;
    options.observer = &metrics_;
    options.zones = flags_.zones;
    options.workers = kWorkers;
    options.node.work_folder = work_.path();
    options.node.programs = program_folders();
    fs::path models = flags_.models_dir;
    if (models.empty()) models = fs::absolute(flags_.file).parent_path() / "models";
    if (!flags_.models_dir.empty() || fs::is_directory(models)) {
      options.node.host_paths = {{"/models", fs::absolute(models)}};
    }
    return options;
  }

  void serve_metrics() {
    common::HttpServerOptions options;
    options.address = "127.0.0.1";
    options.port = static_cast<std::uint16_t>(flags_.metrics_port);
    metrics_server_ =
        std::make_unique<common::HttpServer>(options, [this](const common::HttpRequest& request) -> common::HttpReply {
          if (request.path != "/metrics") return common::HttpResponse{404, "try /metrics\n", "text/plain"};
          return metrics_.render(cluster_->controller(), true, "local");
        });
    progress_.say("metrics", "http://127.0.0.1:" + std::to_string(metrics_server_->port()) + "/metrics");
  }

  // Everything of the file; refuses it as a whole when a deployment in it would be refused.
  std::vector<kube::Object> read_objects() const {
    std::vector<kube::Object> objects = controller::read_manifest(flags_.file);
    std::string problems;
    int deployments = 0;
    for (kube::Object& object : objects) {
      const kube::ResourceKind& kind = kind_named(object);
      if (object.ns().empty()) object.json()["metadata"]["namespace"] = "default";
      if (kind == kube::kSecret) encode_strings(object);
      if (kind != kube::kModelDeployment) continue;
      ++deployments;
      const auto parsed = controller::parse_spec(object, controller::UnknownFields::kRefuse);
      for (const std::string& problem : parsed.problems) problems += "\n  " + problem;
    }
    if (!problems.empty()) throw Error(Code::kInvalidArgument, flags_.file + " is refused:" + problems);
    if (deployments == 0) throw Error(Code::kInvalidArgument, flags_.file + " has no ModelDeployment");
    return objects;
  }

  static void encode_strings(kube::Object& secret) {
    for (const auto& item : secret.at("/stringData").items()) {
      if (item.value().is_string()) {
        secret.json()["data"][item.key()] = common::encode_base64(item.value().get<std::string>());
      }
    }
    secret.json().erase("stringData");
  }

  void apply(const std::vector<kube::Object>& objects) {
    kube::ApplyOptions options;
    options.field_manager = "millrace-up";
    for (const kube::Object& object : objects) cluster_->client().apply(kind_named(object), object, options);
  }

  void expose(const std::vector<kube::Object>& objects) {
    int port = flags_.port;
    for (const kube::Object& object : objects) {
      if (kind_named(object) != kube::kModelDeployment) continue;
      const std::uint16_t opened = cluster_->expose(object.key(), "127.0.0.1", static_cast<std::uint16_t>(port));
      endpoints_.emplace_back(object.key(), opened);
      if (port != 0) ++port;
    }
  }

  int live() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(flags_.timeout);
    bool served = false;
    while (true) {
      const int number = wait_signal(kLook);
      if (number == SIGHUP) {
        reload();
      } else if (number != 0) {
        return 0;
      }
      const UpState state = look();
      if (state == UpState::kReady && !served) {
        served = true;
        std::printf("\n%s\n", format_cluster(cluster_->client()).c_str());
        std::fflush(stdout);
        if (!flags_.no_ask && !ask_and_print() && flags_.once) return 1;
        if (flags_.once) return 0;
        print_hints();
      }
      const bool too_late = !served && std::chrono::steady_clock::now() > deadline;
      if (flags_.once && !served && (state == UpState::kStalled || too_late)) return give_up(too_late);
    }
  }

  int give_up(bool too_late) {
    if (too_late) std::fprintf(stderr, "not ready after %d s\n", flags_.timeout);
    for (const auto& [key, port] : endpoints_) {
      const auto object = cluster_->client().get(kube::kModelDeployment, key);
      if (object) std::fprintf(stderr, "%s: %s\n", key.name.c_str(), cause_of(*object).c_str());
    }
    return 1;
  }

  // Shows what changed; ready when all deployments are, stalled when one is.
  UpState look() {
    UpState all = UpState::kReady;
    for (const auto& [key, port] : endpoints_) {
      const auto object = cluster_->client().get(kube::kModelDeployment, key);
      if (!object) continue;
      progress_.show(*object);
      const UpState state = state_of(*object);
      if (all != UpState::kStalled && state != UpState::kReady) all = state;
    }
    return all;
  }

  void reload() {
    try {
      apply(read_objects());
      progress_.say("schedule", "applied " + flags_.file + " again");
    } catch (const Error& error) {
      progress_.say("schedule", std::string("kept what runs: ") + error.what());
    }
  }

  // The question goes to the first deployment. False when there was no answer.
  bool ask_and_print() {
    const auto& [key, port] = endpoints_.front();
    const auto object = cluster_->client().get(kube::kModelDeployment, key);
    const controller::Spec spec = controller::parse_spec(*object, controller::UnknownFields::kIgnore).spec;
    Question question;
    question.port = port;
    question.model = spec.model.name;
    question.text = flags_.question;
    question.api_key = api_key(key.ns, spec);
    if (spec.tls) question.tls = common::make_tls_client({.verify = false});  // this machine's own agents
    std::printf("> %s\n", question.text.c_str());
    try {
      const Answer answer = ask(question, print_piece);
      std::printf("\n\ntime to first token %.0f ms, %.1f tokens/s (%lld tokens)\n\n", answer.first_token.count() * 1e3,
                  answer.tokens_per_second(), static_cast<long long>(answer.completion_tokens));
      std::fflush(stdout);
      return answer.completion_tokens > 0;
    } catch (const Error& error) {
      std::fprintf(stderr, "\nno answer: %s\n", error.what());
      return false;
    }
  }

  static bool print_piece(const std::string& piece, bool) {
    std::fputs(piece.c_str(), stdout);
    std::fflush(stdout);
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGINT) == 0 && sigismember(&pending, SIGTERM) == 0;
  }

  std::string api_key(const std::string& ns, const controller::Spec& spec) {
    if (!spec.endpoint.api_key) return "";
    const auto secret = cluster_->client().get(kube::kSecret, {ns, spec.endpoint.api_key->name});
    if (!secret) return "";
    return common::decode_base64(secret->string_at("/data/" + spec.endpoint.api_key->key)).value_or("");
  }

  void print_hints() {
    for (const auto& [key, port] : endpoints_) {
      const auto object = cluster_->client().get(kube::kModelDeployment, key);
      const controller::Spec spec = controller::parse_spec(*object, controller::UnknownFields::kIgnore).spec;
      const std::string base = (spec.tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port) + "/v1";
      const char* auth = spec.endpoint.api_key ? " -H \"Authorization: Bearer $API_KEY\"" : "";
      std::printf("%s serves at %s\n\n", key.name.c_str(), base.c_str());
      std::printf(
          "  curl %s/chat/completions -H 'Content-Type: application/json'%s \\\n"
          "    -d '{\"model\": \"%s\", \"messages\": [{\"role\": \"user\", \"content\": \"%s\"}]}'\n\n",
          base.c_str(), auth, spec.model.name.c_str(), flags_.question.c_str());
      std::printf(
          "  from openai import OpenAI\n"
          "  client = OpenAI(base_url=\"%s\", api_key=\"%s\")\n"
          "  answer = client.chat.completions.create(\n"
          "      model=\"%s\", messages=[{\"role\": \"user\", \"content\": \"%s\"}])\n"
          "  print(answer.choices[0].message.content)\n\n",
          base.c_str(), spec.endpoint.api_key ? "the key" : "none", spec.model.name.c_str(), flags_.question.c_str());
    }
    std::printf("Ctrl-C ends everything; SIGHUP to process %d applies the file again.\n", getpid());
    std::fflush(stdout);
  }

  const UpFlags& flags_;
  WorkFolder work_;
  UpProgress progress_;
  std::vector<std::pair<kube::ObjectKey, std::uint16_t>> endpoints_;
  controller::OperatorMetrics metrics_{kWorkers, MILLRACE_VERSION};
  std::unique_ptr<controller::local::LocalCluster> cluster_;
  std::unique_ptr<common::HttpServer> metrics_server_;
};

}  // namespace

void add_up_command(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("up", "Runs a manifest on this machine, without a cluster");
  auto flags = std::make_shared<UpFlags>();
  command->add_option("-f,--filename", flags->file, "Manifest (YAML or JSON)")->required();
  command->add_option("--models-dir", flags->models_dir,
                      "Folder that is /models of the nodes; the folder models beside the manifest when left out");
  command->add_option("--port", flags->port, "Port on 127.0.0.1 of the first deployment; 0: any")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_option("--question", flags->question, "What is asked once it is ready")->capture_default_str();
  command->add_flag("--no-ask", flags->no_ask, "Ask nothing");
  command->add_flag("--once", flags->once, "End after the answer; the exit status says whether there was one");
  command->add_option("--timeout", flags->timeout, "With --once: seconds to become ready")->capture_default_str();
  command
      ->add_option("--metrics-port", flags->metrics_port,
                   "Serve the operator's metrics on this port of 127.0.0.1; 0: any")
      ->check(CLI::Range(0, 65535));
  command->add_option("--zones", flags->zones, "Zones to pretend, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--log-level", flags->log_level, "Of the operator inside: debug, info, warn or error")
      ->capture_default_str();
  command->callback([flags, &status] {
    common::configure_log(common::LogFormat::kText, common::parse_log_level(flags->log_level));
    status = Up(*flags).run();
  });
}

}  // namespace millrace::cli
