// Kubernetes objects as the server sends them: a JSON document with typed access to the metadata every controller
// needs. Accessors never throw: a missing field, or one of the wrong type, reads as empty, so that one odd object
// cannot stop a whole list. Values; safe to share between threads while const.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::controller::kube {

using Json = nlohmann::json;

// A JSON document from elsewhere; a discarded value when the text is not JSON or nests deeper than any object may
// (copying and printing recurse).
Json parse_document(std::string_view text);

// The string that an object has under `name`; empty when it has none, or `object` is something else.
std::string string_in(const Json& object, std::string_view name);

// Name of an object of one kind. `ns` is empty for cluster-scoped kinds.
struct ObjectKey {
  std::string ns;
  std::string name;

  auto operator<=>(const ObjectKey&) const = default;  // NOLINT(modernize-use-nullptr): misfires on the 0 inside
};

std::string to_string(const ObjectKey& key);  // "ns/name", or "name" when cluster-scoped

// What the API server calls a kind, and where its URLs are.
struct ResourceKind {
  std::string_view group;  // empty for the core group
  std::string_view version;
  std::string_view plural;
  std::string_view kind;
  bool namespaced = true;

  std::string api_version() const;                        // "v1", "apps/v1"
  auto operator<=>(const ResourceKind&) const = default;  // NOLINT(modernize-use-nullptr): misfires on the 0 inside
};

inline constexpr ResourceKind kPod{"", "v1", "pods", "Pod", true};
inline constexpr ResourceKind kService{"", "v1", "services", "Service", true};
inline constexpr ResourceKind kConfigMap{"", "v1", "configmaps", "ConfigMap", true};
inline constexpr ResourceKind kSecret{"", "v1", "secrets", "Secret", true};
inline constexpr ResourceKind kServiceAccount{"", "v1", "serviceaccounts", "ServiceAccount", true};
inline constexpr ResourceKind kNamespace{"", "v1", "namespaces", "Namespace", false};
inline constexpr ResourceKind kNode{"", "v1", "nodes", "Node", false};
inline constexpr ResourceKind kPodDisruptionBudget{"policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true};
inline constexpr ResourceKind kLease{"coordination.k8s.io", "v1", "leases", "Lease", true};
inline constexpr ResourceKind kEvent{"events.k8s.io", "v1", "events", "Event", true};
inline constexpr ResourceKind kCustomResourceDefinition{"apiextensions.k8s.io", "v1", "customresourcedefinitions",
                                                        "CustomResourceDefinition", false};
inline constexpr ResourceKind kModelDeployment{"millrace.dev", "v1alpha1", "modeldeployments", "ModelDeployment", true};

struct OwnerReference {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string uid;
  bool controller = false;

  auto operator<=>(const OwnerReference&) const = default;
};

class Object {
 public:
  Object() : json_(Json::object()) {}
  explicit Object(Json json) : json_(std::move(json)) {}
  // A new object: apiVersion, kind, metadata.name and (when namespaced) metadata.namespace are set.
  Object(const ResourceKind& kind, const ObjectKey& key);

  const Json& json() const { return json_; }
  Json& json() { return json_; }

  std::string api_version() const;
  std::string kind() const;
  std::string ns() const;
  std::string name() const;
  ObjectKey key() const { return {ns(), name()}; }
  std::string uid() const;
  std::string resource_version() const;  // opaque; empty for an object that was never stored
  std::int64_t generation() const;       // 0 when absent
  std::optional<std::string> creation_timestamp() const;
  std::optional<std::string> deletion_timestamp() const;  // RFC 3339
  bool is_deleted() const { return deletion_timestamp().has_value(); }

  std::map<std::string, std::string> labels() const;
  std::optional<std::string> label(const std::string& name) const;
  std::optional<std::string> annotation(const std::string& name) const;
  bool has_finalizer(std::string_view name) const;

  std::vector<OwnerReference> owners() const;
  std::optional<OwnerReference> controller_owner() const;

  // The value at a JSON pointer ("/spec/replicas"), or a null document when it is not there.
  const Json& at(const std::string& pointer) const;
  std::string string_at(const std::string& pointer) const;  // empty when absent or not a string
  std::optional<std::int64_t> int_at(const std::string& pointer) const;
  bool bool_at(const std::string& pointer) const;  // false when absent or not a boolean

  bool operator==(const Object& other) const { return json_ == other.json_; }

 private:
  Json json_;
};

// An owner reference with controller and blockOwnerDeletion true. Owner and child must be in the same namespace.
Json controller_reference(const Object& owner);

// An object in a tenth of the memory, for keeping. unpack() gives back an equal one.
std::string pack(const Object& object);
Object unpack(const std::string& packed);

// Removes what no controller reads but every object carries: managedFields and the last-applied annotation.
void strip_bookkeeping(Object& object);

}  // namespace millrace::controller::kube

template <>
struct std::hash<millrace::controller::kube::ObjectKey> {
  std::size_t operator()(const millrace::controller::kube::ObjectKey& key) const noexcept {
    const std::size_t ns = std::hash<std::string>{}(key.ns);
    return ns ^ (std::hash<std::string>{}(key.name) + 0x9e3779b97f4a7c15ULL + (ns << 6) + (ns >> 2));
  }
};
