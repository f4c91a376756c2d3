#include "operator/kube/object.h"

namespace millrace::controller::kube {
namespace {

constexpr int kDeepest = 100;

bool too_deep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDeepest) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

const Json& null_document() {
  static const Json null;
  return null;
}

// The member of an object, or a null document.
const Json& member(const Json& object, std::string_view name) {
  if (!object.is_object()) return null_document();
  const auto it = object.find(name);
  return it == object.end() ? null_document() : *it;
}

std::string text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::optional<std::string> optional_text(const Json& value) {
  if (!value.is_string()) return std::nullopt;
  return value.get<std::string>();
}

const Json& metadata(const Json& object, std::string_view name) {
  return member(member(object, "metadata"), name);
}

}  // namespace

Json parse_document(std::string_view text) {
  if (too_deep(text)) return Json(Json::value_t::discarded);
  return Json::parse(text, nullptr, false);
}

std::string string_in(const Json& object, std::string_view name) {
  return text(member(object, name));
}

std::string to_string(const ObjectKey& key) {
  return key.ns.empty() ? key.name : key.ns + "/" + key.name;
}

std::string ResourceKind::api_version() const {
  return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}

Object::Object(const ResourceKind& kind, const ObjectKey& key)
    : json_({{"apiVersion", kind.api_version()}, {"kind", kind.kind}, {"metadata", {{"name", key.name}}}}) {
  if (kind.namespaced && !key.ns.empty()) json_["metadata"]["namespace"] = key.ns;
}

std::string Object::api_version() const {
  return text(member(json_, "apiVersion"));
}
std::string Object::kind() const {
  return text(member(json_, "kind"));
}
std::string Object::ns() const {
  return text(metadata(json_, "namespace"));
}
std::string Object::name() const {
  return text(metadata(json_, "name"));
}
std::string Object::uid() const {
  return text(metadata(json_, "uid"));
}
std::string Object::resource_version() const {
  return text(metadata(json_, "resourceVersion"));
}

std::int64_t Object::generation() const {
  const Json& value = metadata(json_, "generation");
  return value.is_number_integer() ? value.get<std::int64_t>() : 0;
}

std::optional<std::string> Object::creation_timestamp() const {
  return optional_text(metadata(json_, "creationTimestamp"));
}

std::optional<std::string> Object::deletion_timestamp() const {
  return optional_text(metadata(json_, "deletionTimestamp"));
}

std::map<std::string, std::string> Object::labels() const {
  std::map<std::string, std::string> labels;
  const Json& stored = metadata(json_, "labels");
  if (!stored.is_object()) return labels;
  for (const auto& [name, value] : stored.items()) {
    if (value.is_string()) labels.emplace(name, value.get<std::string>());
  }
  return labels;
}

std::optional<std::string> Object::label(const std::string& name) const {
  return optional_text(member(metadata(json_, "labels"), name));
}

std::optional<std::string> Object::annotation(const std::string& name) const {
  return optional_text(member(metadata(json_, "annotations"), name));
}

bool Object::has_finalizer(std::string_view name) const {
  const Json& finalizers = metadata(json_, "finalizers");
  if (!finalizers.is_array()) return false;
  for (const Json& entry : finalizers) {
    if (entry.is_string() && entry.get_ref<const std::string&>() == name) return true;
  }
  return false;
}

std::vector<OwnerReference> Object::owners() const {
  std::vector<OwnerReference> owners;
  const Json& references = metadata(json_, "ownerReferences");
  if (!references.is_array()) return owners;
  for (const Json& entry : references) {
    const Json& controller = member(entry, "controller");
    owners.push_back({text(member(entry, "apiVersion")), text(member(entry, "kind")), text(member(entry, "name")),
                      text(member(entry, "uid")), controller.is_boolean() && controller.get<bool>()});
  }
  return owners;
}

std::optional<OwnerReference> Object::controller_owner() const {
  for (OwnerReference& owner : owners()) {
    if (owner.controller) return std::move(owner);
  }
  return std::nullopt;
}

const Json& Object::at(const std::string& pointer) const {
  const Json::json_pointer path(pointer);
  return json_.contains(path) ? json_.at(path) : null_document();
}

std::string Object::string_at(const std::string& pointer) const {
  return text(at(pointer));
}

std::optional<std::int64_t> Object::int_at(const std::string& pointer) const {
  const Json& value = at(pointer);
  if (!value.is_number_integer()) return std::nullopt;
  return value.get<std::int64_t>();
}

bool Object::bool_at(const std::string& pointer) const {
  const Json& value = at(pointer);
  return value.is_boolean() && value.get<bool>();
}

Json controller_reference(const Object& owner) {
  return {{"apiVersion", owner.api_version()},
          {"kind", owner.kind()},
          {"name", owner.name()},
          {"uid", owner.uid()},
          {"controller", true},
          {"blockOwnerDeletion", true}};
}

std::string pack(const Object& object) {
  const std::vector<std::uint8_t> bytes = Json::to_msgpack(object.json());
  return {bytes.begin(), bytes.end()};
}

Object unpack(const std::string& packed) {
  return Object(Json::from_msgpack(packed));
}

void strip_bookkeeping(Object& object) {
  if (!object.json().is_object()) return;
  const auto meta = object.json().find("metadata");
  if (meta == object.json().end() || !meta->is_object()) return;
  meta->erase("managedFields");
  const auto annotations = meta->find("annotations");
  if (annotations == meta->end() || !annotations->is_object()) return;
  annotations->erase("kubectl.kubernetes.io/last-applied-configuration");
  if (annotations->empty()) meta->erase("annotations");
}

}  // namespace millrace::controller::kube
