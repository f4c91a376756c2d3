#include "common/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <string>

namespace millrace::common {

HttpResponse metrics_response(const std::vector<prometheus::MetricFamily>& families) {
  HttpResponse response;
  response.content_type = std::string(kMetricsContentType);
  response.body = prometheus::TextSerializer().Serialize(families);
  return response;
}

}  // namespace millrace::common
