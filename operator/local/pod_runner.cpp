#include "operator/local/pod_runner.h"

#include <algorithm>
#include <csignal>
#include <fstream>

#include "common/error.h"
#include "common/log.h"
#include "operator/kube/timestamp.h"

namespace millrace::controller::local {
namespace {

using common::Error;
using kube::Json;
using std::chrono::milliseconds;

constexpr const char* kManager = "local-node";
constexpr milliseconds kForever{3'600'000};

std::string now_text() {
  return kube::format_time(std::chrono::system_clock::now());
}

}  // namespace

// The three probes of one run of the container.
struct PodRunner::Probes {
  struct Schedule {
    std::optional<HttpProbe> probe;
    ProbeCounter counter;
    Clock::time_point due;

    Schedule(const kube::Object& container, const char* name, bool passed)
        : probe(probe_of(container, name)), counter(passed || !probe), due(Clock::now()) {
      if (probe) due += probe->initial_delay;
    }
    // Runs the probe when it is due. True when it was.
    bool run(const std::string& ip) {
      if (!probe || Clock::now() < due) return false;
      counter.add(*probe, probe->check(ip));
      due = Clock::now() + probe->period;
      return true;
    }
  };

  explicit Probes(const kube::Object& container)
      : startup(container, "startupProbe", false),
        liveness(container, "livenessProbe", true),
        readiness(container, "readinessProbe", false) {}

  milliseconds until_due() const {
    Clock::time_point next = Clock::now() + kForever;
    const auto consider = [&](const Schedule& schedule) {
      if (schedule.probe) next = std::min(next, schedule.due);
    };
    if (startup.counter.passed()) {
      consider(liveness);
      consider(readiness);
    } else {
      consider(startup);
    }
    return std::max(std::chrono::ceil<milliseconds>(next - Clock::now()), milliseconds(0));
  }

  Schedule startup, liveness, readiness;
};

PodRunner::PodRunner(kube::Client& client, const NodeOptions& options, kube::Object pod, std::string ip)
    : client_(client), options_(options), ip_(std::move(ip)), pod_(std::move(pod)), since_start_(now_text()) {
  since_ready_ = since_containers_ = since_start_;
  thread_ = std::thread([this] { run(); });
}

PodRunner::~PodRunner() {
  stop();
  thread_.join();
}

void PodRunner::stop() {
  stopping_ = true;
  wake_.notify();
}

void PodRunner::update(kube::Object pod) {
  {
    const std::lock_guard lock(mutex_);
    pod_ = std::move(pod);
  }
  wake_.notify();
}

void PodRunner::pod_is_gone() {
  gone_ = true;
  wake_.notify();
}

kube::Object PodRunner::pod() const {
  const std::lock_guard lock(mutex_);
  return pod_;
}

std::filesystem::path PodRunner::log_file() const {
  return options_.work_folder / "logs" / (pod().name() + ".log");
}

std::filesystem::path PodRunner::volume_folder() const {
  return options_.work_folder / "pods" / pod().uid() / "volumes";
}

bool PodRunner::leaving() const {
  return stopping_ || gone_ || pod().is_deleted();
}

void PodRunner::run() {
  try {
    std::filesystem::create_directories(log_file().parent_path());
    while (!leaving()) run_once();
    if (!gone_ && !stopping_) {
      kube::RemoveOptions options;
      options.grace_period = 0;
      options.uid = pod().uid();
      client_.remove(kube::kPod, pod().key(), options);
    }
  } catch (const std::exception& error) {
    common::log_error("pod ended by an error of its node", {{"pod", pod().name()}, {"error", error.what()}});
  }
  std::error_code ignored;
  std::filesystem::remove_all(options_.work_folder / "pods" / pod().uid(), ignored);
  finished_ = true;
}

// From starting the container to its end, and the pause after it.
void PodRunner::run_once() {
  const Clock::time_point started = Clock::now();
  try {
    const kube::Object stored = pod();
    const auto mounts = mount_volumes(stored, client_, options_.host_paths, volume_folder());
    refreshed_ = Clock::now();
    ProcessOptions what = process_of(stored, ip_, mounts, options_.programs);
    what.log_file = log_file();
    Process process(what);
    running_ = true;
    waiting_reason_.clear();
    report();
    supervise(process);
    running_ = started_ = ready_ = false;
    if (leaving()) return;
    const int status = process.exit_status().value_or(0);
    last_state_ = {{"terminated",
                    {{"exitCode", status},
                     {"reason", status == 0 ? "Completed" : "Error"},
                     {"finishedAt", now_text()},
                     {"message", last_words()}}}};
    if (status == 0 && stored.string_at("/spec/restartPolicy") == "OnFailure") return rest();
    ++restarts_;
    wait_before_restart(started, "the container ended with status " + std::to_string(status), status);
  } catch (const Error& error) {
    running_ = started_ = ready_ = false;
    wait_before_restart(started, error.what(), std::nullopt);
  }
}

void PodRunner::rest() {
  succeeded_ = true;
  report();
  while (!leaving()) wake_.wait(-1, kForever);
}

void PodRunner::wait_before_restart(Clock::time_point started, const std::string& message,
                                    std::optional<int> exit_status) {
  failures_in_a_row_ = Clock::now() - started > options_.good_run ? 1 : failures_in_a_row_ + 1;
  waiting_reason_ = exit_status ? "CrashLoopBackOff" : "CreateContainerConfigError";
  waiting_message_ = message;
  if (failures_in_a_row_ == 1 && exit_status) waiting_reason_ = "ContainerCreating";  // the first restart is at once
  report();
  if (failures_in_a_row_ == 1 && exit_status) return;
  const int doublings = std::clamp(failures_in_a_row_ - 2, 0, 16);
  const auto delay = std::min(options_.restart_delay * (1 << doublings), options_.restart_limit);
  const auto until = Clock::now() + delay;
  while (!leaving() && Clock::now() < until) {
    wake_.wait(-1, std::chrono::ceil<milliseconds>(until - Clock::now()));
  }
}

void PodRunner::supervise(Process& process) {
  Probes probes{kube::Object(pod().at("/spec/containers/0"))};
  while (!process.exit_status()) {
    if (gone_) return end(process, milliseconds(0));
    if (stopping_) return end(process, options_.shutdown_grace);
    if (const kube::Object stored = pod(); stored.is_deleted()) {
      const std::int64_t grace = stored.int_at("/metadata/deletionGracePeriodSeconds").value_or(30);
      return end(process, std::chrono::seconds(grace));
    }
    check_probes(process, probes);
    report();
    refresh_volumes();
    wake_.wait(process.ended_fd(), probes.until_due());
  }
}

void PodRunner::check_probes(Process& process, Probes& probes) {
  if (!probes.startup.counter.passed()) {
    if (probes.startup.run(ip_) && probes.startup.counter.failures() >= probes.startup.probe->failures) {
      common::log_warn("container did not start in time", {{"pod", pod().name()}});
      return end(process, options_.shutdown_grace);
    }
    if (!probes.startup.counter.passed()) return;
    probes.readiness.due = Clock::now();
  }
  started_ = true;
  probes.readiness.run(ip_);
  ready_ = probes.readiness.counter.passed();
  probes.liveness.run(ip_);
  if (!probes.liveness.counter.passed()) {
    common::log_warn("container failed its liveness probe", {{"pod", pod().name()}});
    end(process, options_.shutdown_grace);
  }
}

// At the pace of the probes, but not more often than asked for.
void PodRunner::refresh_volumes() {
  if (Clock::now() - refreshed_ < options_.volume_refresh) return;
  local::refresh_volumes(pod(), client_, volume_folder());
  refreshed_ = Clock::now();
}

// SIGTERM, the grace period, SIGKILL. Keeps reporting readiness as false meanwhile.
void PodRunner::end(Process& process, milliseconds grace) {
  ready_ = false;
  const auto until = Clock::now() + grace;
  if (grace.count() > 0) process.signal(SIGTERM);
  report();
  while (!process.exit_status() && Clock::now() < until && !gone_) {
    wake_.wait(process.ended_fd(), std::chrono::ceil<milliseconds>(until - Clock::now()));
  }
  process.signal(SIGKILL);
  while (!process.exit_status()) wake_.wait(process.ended_fd(), milliseconds(100));
}

std::string PodRunner::last_words() const {
  std::ifstream log(log_file(), std::ios::binary | std::ios::ate);
  const std::streamoff size = log.tellg();
  if (size <= 0) return "";
  std::string text(static_cast<std::size_t>(std::min<std::streamoff>(size, 400)), '\0');
  log.seekg(size - static_cast<std::streamoff>(text.size()));
  log.read(text.data(), static_cast<std::streamsize>(text.size()));
  return text;
}

Json PodRunner::container_status() const {
  Json status = {{"name", pod().string_at("/spec/containers/0/name")},
                 {"ready", ready_},
                 {"started", started_},
                 {"restartCount", restarts_},
                 {"image", pod().string_at("/spec/containers/0/image")},
                 {"lastState", last_state_.is_null() ? Json::object() : last_state_}};
  if (succeeded_) {
    status["state"] = last_state_;
  } else if (running_) {
    status["state"] = {{"running", Json::object()}};
  } else {
    status["state"] = {{"waiting", {{"reason", waiting_reason_}, {"message", waiting_message_}}}};
  }
  return status;
}

Json PodRunner::conditions(const kube::Object& pod) {
  bool gates = true;
  for (const Json& gate : pod.at("/spec/readinessGates")) {
    const Json& conditions = pod.at("/status/conditions");
    gates = gates && std::any_of(conditions.begin(), conditions.end(), [&](const Json& condition) {
              return condition.value("type", "") == gate.value("conditionType", "") &&
                     condition.value("status", "") == "True";
            });
  }
  const bool ready = ready_ && gates;
  if (ready != reported_ready_) since_ready_ = now_text();
  if (ready_ != reported_containers_) since_containers_ = now_text();
  reported_ready_ = ready;
  reported_containers_ = ready_;
  const auto condition = [](const char* type, bool status, const std::string& since) {
    return Json{{"type", type}, {"status", status ? "True" : "False"}, {"lastTransitionTime", since}};
  };
  Json of_pod = condition("Ready", ready, since_ready_);
  of_pod["reason"] = ready ? "" : ready_ ? "ReadinessGatesNotReady" : "ContainersNotReady";
  return Json::array({condition("Initialized", true, since_start_),
                      condition("ContainersReady", ready_, since_containers_), std::move(of_pod)});
}

// The cluster drops a report without a difference.
void PodRunner::report() {
  const kube::Object stored = pod();
  kube::Object report(kube::kPod, stored.key());
  report.json()["metadata"]["uid"] = stored.uid();
  report.json()["status"] = {{"phase", succeeded_                  ? "Succeeded"
                                       : running_ || restarts_ > 0 ? "Running"
                                                                   : "Pending"},
                             {"podIP", ip_},
                             {"podIPs", Json::array({Json{{"ip", ip_}}})},
                             {"hostIP", "127.0.0.1"},
                             {"startTime", since_start_},
                             {"conditions", conditions(stored)},
                             {"containerStatuses", Json::array({container_status()})}};
  kube::ApplyOptions options;
  options.subresource = "status";
  options.field_manager = kManager;
  try {
    client_.apply(kube::kPod, report, options);
  } catch (const Error& error) {
    if (error.code() != common::Code::kNotFound && error.code() != common::Code::kConflict) throw;
    gone_ = true;  // replaced or removed behind our back
  }
}

}  // namespace millrace::controller::local
