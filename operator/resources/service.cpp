#include "operator/resources/service.h"

#include "operator/api/labels.h"

namespace millrace::controller {

kube::Object build_service(const Parent& parent) {
  kube::Object service = new_child(parent, kube::kService, service_name(parent));
  service.json()["spec"] = {
      {"type", parent.spec.endpoint.service_type},
      {"selector", {{kDeploymentLabel, parent.key.name}, {kPodIndexLabel, "0"}}},
      {"ports", {{{"port", parent.spec.endpoint.port}, {"targetPort", "http"}, {"protocol", "TCP"}}}}};
  Json& port = service.json()["spec"]["ports"][0];
  port["name"] = parent.spec.tls ? "https" : "http";
  if (parent.spec.tls) port["appProtocol"] = "https";
  return service;
}

std::string service_host(const Parent& parent) {
  return service_name(parent) + "." + parent.key.ns + ".svc";
}

std::string endpoint_url(const Parent& parent) {
  return (parent.spec.tls ? "https://" : "http://") + service_host(parent) + ":" +
         std::to_string(parent.spec.endpoint.port);
}

}  // namespace millrace::controller
