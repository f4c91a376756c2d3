#include "common/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <string>

namespace millrace::common {

HttpResponse metrics_response(const prometheus::Collectable& registry) {
  HttpResponse response;
  response.content_type = std::string(kMetricsContentType);
  response.body = prometheus::TextSerializer().Serialize(registry.Collect());
  return response;
}

}  // namespace millrace::common
