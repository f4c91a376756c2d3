// `kubectl millrace report`: what somebody needs who helps from afar. Objects, events, logs and metrics, with secrets
// taken out (redact.h). Secrets are never read. What cannot be had is noted in the bundle and does not end the report.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

#include "operator/kube/client.h"

namespace millrace::cli {

struct ReportOptions {
  std::string ns;                  // of the deployments; empty: all
  std::string name;                // of one deployment; empty: all
  std::string operator_namespace;  // empty: wherever pods carry the operator's labels
  std::string program_version;
  std::chrono::system_clock::time_point now;
  // The answer to a GET of the API server ("/version", a pod's log, a pod's port behind the proxy). Throws
  // common::Error. Empty: logs and metrics are left out.
  std::function<std::string(const std::string& path)> raw;
};

// Path within the bundle -> content.
using ReportFiles = std::map<std::string, std::string>;

ReportFiles gather_report(controller::kube::Client& client, const ReportOptions& options);

}  // namespace millrace::cli
