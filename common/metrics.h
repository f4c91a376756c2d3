// Prometheus text out of prometheus-cpp registries. The exposition itself is an ordinary route of our server.
#pragma once

#include <string_view>

#include "common/http.h"

namespace prometheus {
class Collectable;
}

namespace millrace::common {

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// Any thread.
HttpResponse metrics_response(const prometheus::Collectable& registry);

}  // namespace millrace::common
