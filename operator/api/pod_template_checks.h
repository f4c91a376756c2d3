// What the CRD refuses in spec.podTemplate, for manifests that no API server has seen.
#pragma once

#include "operator/api/field_reader.h"
#include "operator/api/model_deployment.h"

namespace millrace::controller {

// At most `max_size` lower-case letters, digits and hyphens, none of them at an end.
bool is_dns_label(std::string_view text, std::size_t max_size);

// Reports through `fields`, which reads spec.podTemplate. `pod` is what was read from it.
void check_pod_template(FieldReader& fields, const PodTemplate& pod);

}  // namespace millrace::controller
