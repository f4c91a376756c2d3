#include "operator/reconcile/reader.h"

#include <algorithm>

#include "operator/api/labels.h"

namespace millrace::controller {
namespace {

std::vector<kube::ObjectPtr> shared(kube::ListResult listed) {
  std::vector<kube::ObjectPtr> result;
  for (kube::Object& object : listed.items) {
    result.push_back(std::make_shared<const kube::Object>(std::move(object)));
  }
  return result;
}

}  // namespace

kube::ObjectPtr LiveReader::get(const kube::ResourceKind& kind, const kube::ObjectKey& key) const {
  std::optional<kube::Object> object = client_.get(kind, key);
  return object ? std::make_shared<const kube::Object>(std::move(*object)) : nullptr;
}

std::vector<kube::ObjectPtr> LiveReader::children(const kube::ResourceKind& kind,
                                                  const kube::ObjectKey& deployment) const {
  kube::ListOptions options;
  options.ns = deployment.ns;
  options.label_selector = std::string(kDeploymentLabel) + "=" + deployment.name;
  return shared(client_.list(kind, options));
}

std::vector<kube::ObjectPtr> LiveReader::nodes() const {
  return shared(client_.list(kube::kNode, {}));
}

std::vector<kube::ObjectPtr> LiveLook::children(const kube::ResourceKind& kind,
                                                const kube::ObjectKey& deployment) const {
  const auto known = children_.find(kind);
  return known != children_.end() ? known->second
                                  : children_.emplace(kind, live_.children(kind, deployment)).first->second;
}

void LiveLook::add(const kube::ResourceKind& kind, kube::Object created) {
  const auto known = children_.find(kind);
  if (known == children_.end()) return;
  auto& objects = known->second;
  const auto next = std::find_if(objects.begin(), objects.end(),
                                 [&](const kube::ObjectPtr& object) { return object->name() > created.name(); });
  objects.insert(next, std::make_shared<const kube::Object>(std::move(created)));
}

kube::ObjectPtr CachedReader::get(const kube::ResourceKind& kind, const kube::ObjectKey& key) const {
  for (const kube::Informer* informer : informers_) {
    if (informer->options().kind != kind) continue;
    if (kube::ObjectPtr object = informer->store().get(key)) return object;
  }
  return nullptr;
}

std::vector<kube::ObjectPtr> CachedReader::children(const kube::ResourceKind& kind,
                                                    const kube::ObjectKey& deployment) const {
  std::vector<kube::ObjectPtr> result;
  for (const kube::Informer* informer : informers_) {
    if (informer->options().kind != kind) continue;
    for (kube::ObjectPtr& object : informer->store().with_label(kDeploymentLabel, deployment.name)) {
      if (object->ns() == deployment.ns) result.push_back(std::move(object));
    }
  }
  return result;
}

std::vector<kube::ObjectPtr> CachedReader::nodes() const {
  for (const kube::Informer* informer : informers_) {
    if (informer->options().kind == kube::kNode) return informer->store().list();
  }
  return {};
}

}  // namespace millrace::controller
