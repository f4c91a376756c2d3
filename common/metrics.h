// Prometheus text out of prometheus-cpp registries. The exposition itself is an ordinary route of our server.
#pragma once

#include <string_view>
#include <vector>

#include "common/http.h"

namespace prometheus {
struct MetricFamily;
}

namespace millrace::common {

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// Any thread.
HttpResponse metrics_response(const std::vector<prometheus::MetricFamily>& families);

}  // namespace millrace::common
