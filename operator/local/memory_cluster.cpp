#include "operator/local/memory_cluster.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "operator/kube/timestamp.h"
#include "operator/local/selector.h"

namespace millrace::controller::local {
namespace {

using common::Code;
using kube::ApiError;
using kube::EventType;
using kube::Json;
using kube::Object;
using kube::ObjectKey;
using kube::ResourceKind;

constexpr std::size_t kHistory = 20'000;  // events kept for watches

std::string kind_name(const ResourceKind& kind) {
  return std::string(kind.plural) + "." + std::string(kind.group);
}

ApiError not_found(const ResourceKind& kind, const ObjectKey& key) {
  return {Code::kNotFound, 404, "NotFound", std::string(kind.plural) + " \"" + to_string(key) + "\" not found"};
}

ApiError conflict(const std::string& message) {
  return {Code::kConflict, 409, "Conflict", message};
}

// Names of field managers of writes that are no applies.
constexpr const char* kPatchManager = kube::kFieldManager;

ApiError invalid(int status, const std::string& reason, const std::string& message) {
  return {Code::kInvalidArgument, status, reason, message};
}

// What the scale subresource shows of an object.
Object scale_of(const Object& object) {
  Object scale;
  scale.json() = {{"apiVersion", "autoscaling/v1"},
                  {"kind", "Scale"},
                  {"metadata",
                   {{"name", object.name()},
                    {"namespace", object.ns()},
                    {"uid", object.uid()},
                    {"resourceVersion", object.resource_version()}}},
                  {"spec", {{"replicas", object.int_at("/spec/replicas").value_or(0)}}},
                  {"status", {{"replicas", object.int_at("/status/replicas").value_or(0)}}}};
  const std::string selector = object.string_at("/status/selector");
  if (!selector.empty()) scale.json()["status"]["selector"] = selector;
  return scale;
}

Object bookmark(const ResourceKind& kind, std::uint64_t version) {
  Object object;
  object.json() = {{"apiVersion", kind.api_version()},
                   {"kind", kind.kind},
                   {"metadata", {{"resourceVersion", std::to_string(version)}}}};
  return object;
}

// How long a pod that is deleted now may take; 0 for everything that no node has to end.
std::int64_t grace_of(const ResourceKind& kind, const Object& object, std::optional<std::int64_t> wanted) {
  const std::string phase = object.string_at("/status/phase");
  if (kind != kube::kPod || object.string_at("/spec/nodeName").empty() || phase == "Succeeded" || phase == "Failed") {
    return 0;
  }
  const std::int64_t normal = object.int_at("/spec/terminationGracePeriodSeconds").value_or(30);
  const std::int64_t before = object.int_at("/metadata/deletionGracePeriodSeconds").value_or(normal);
  return object.is_deleted() ? std::min(wanted.value_or(before), before) : wanted.value_or(normal);
}

bool has_status_subresource(const ResourceKind& kind) {
  static const std::set<std::string_view> kKinds{"Pod", "Node", "Service", "PodDisruptionBudget", "ModelDeployment"};
  return kKinds.contains(kind.kind);
}

void check_preconditions(const Object& stored, const std::string& uid, const std::string& version) {
  if (!uid.empty() && uid != stored.uid()) {
    throw conflict(stored.kind() + " " + to_string(stored.key()) + " has uid " + stored.uid() + ", not " + uid);
  }
  if (!version.empty() && version != stored.resource_version()) {
    throw conflict(stored.kind() + " " + to_string(stored.key()) + " has changed; read it again");
  }
}

// What one subresource may change: status its status, the object itself everything else.
Object limited(const ResourceKind& kind, const std::string& subresource, const Object& before, Object after) {
  if (!has_status_subresource(kind)) return after;
  if (subresource == "status") {
    Object result = before;
    result.json()["status"] = after.json().value("status", Json::object());
    return result;
  }
  if (before.json().contains("status")) {
    after.json()["status"] = before.json()["status"];
  } else {
    after.json().erase("status");
  }
  return after;
}

}  // namespace

std::uint64_t MemoryCluster::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

MemoryCluster::Stored& MemoryCluster::at(const ResourceKind& kind, const ObjectKey& key) {
  const auto found = objects_.find({kind_name(kind), key});
  if (found == objects_.end()) throw not_found(kind, key);
  return found->second;
}

std::optional<Object> MemoryCluster::get(const ResourceKind& kind, const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find({kind_name(kind), key});
  if (found == objects_.end()) return std::nullopt;
  return found->second.object;
}

kube::ListResult MemoryCluster::list(const ResourceKind& kind, const kube::ListOptions& options) {
  const LabelSelector labels(options.label_selector);
  const std::lock_guard lock(mutex_);
  kube::ListResult result;
  result.resource_version = std::to_string(version_);
  for (const auto& [key, stored] : objects_) {
    const Object& object = stored.object;
    if (key.first == kind_name(kind) && (options.ns.empty() || options.ns == object.ns()) &&
        labels.matches(object.labels()) && matches_fields(options.field_selector, object)) {
      result.items.push_back(object);
      if (options.trim) options.trim(result.items.back());
    }
  }
  return result;
}

void MemoryCluster::happened(const Stored& stored, EventType type, Object before) {
  history_.push_back({version_, kind_name(stored.kind), type, std::move(before), stored.object});
  if (history_.size() > kHistory) history_.pop_front();
  changed_.notify_all();
}

Object MemoryCluster::insert(const ResourceKind& kind, Object object, FieldOwners owners) {
  Json& metadata = object.json()["metadata"];
  if (object.name().empty() && metadata.contains("generateName")) {
    metadata["name"] = metadata["generateName"].get<std::string>() + std::to_string(next_uid_);
  }
  if (object.name().empty() || (kind.namespaced && object.ns().empty())) {
    throw invalid(422, "Invalid", "metadata.name and metadata.namespace are required");
  }
  if (!object.resource_version().empty()) {
    throw invalid(400, "BadRequest", "resourceVersion should not be set on objects to be created");
  }
  const StoreKey key{kind_name(kind), object.key()};
  if (objects_.contains(key)) {
    throw ApiError(Code::kAlreadyExists, 409, "AlreadyExists", to_string(object.key()) + " already exists");
  }
  object.json()["apiVersion"] = kind.api_version();
  object.json()["kind"] = kind.kind;
  metadata["uid"] = "uid-" + std::to_string(next_uid_++);
  metadata["creationTimestamp"] = kube::format_time(clock_());
  metadata["generation"] = 1;
  metadata["resourceVersion"] = std::to_string(++version_);
  if (kind == kube::kPod) object.json()["status"]["phase"] = "Pending";
  uids_.insert(object.uid());
  Stored& stored = objects_[key] = {kind, std::move(object), std::move(owners)};
  happened(stored, EventType::kAdded, {});
  return stored.object;
}

// Stores a changed object; one without a difference is no change at all.
Object MemoryCluster::replace(Stored& stored, Object changed) {
  if (changed == stored.object) return changed;
  if (changed.at("/spec") != stored.object.at("/spec")) {
    changed.json()["metadata"]["generation"] = stored.object.generation() + 1;
  }
  changed.json()["metadata"]["resourceVersion"] = std::to_string(++version_);
  Object before = std::move(stored.object);
  stored.object = std::move(changed);
  happened(stored, EventType::kModified, std::move(before));
  Object result = stored.object;
  const bool ended = stored.kind != kube::kPod || result.int_at("/metadata/deletionGracePeriodSeconds") == 0;
  if (result.is_deleted() && result.at("/metadata/finalizers").empty() && ended) {
    erase({kind_name(stored.kind), result.key()});
  }
  return result;
}

Object MemoryCluster::create(const ResourceKind& kind, const Object& object) {
  const std::lock_guard lock(mutex_);
  Object created = object;
  if (has_status_subresource(kind) && kind != kube::kNode) created.json().erase("status");
  FieldOwners owners;
  owners.update(Json::object(), created.json(), {kPatchManager, "", false});
  return add(kind, std::move(created), std::move(owners));
}

// Children of what is already gone are collected as soon as they are born.
Object MemoryCluster::add(const ResourceKind& kind, Object object, FieldOwners owners) {
  Object result = insert(kind, std::move(object), std::move(owners));
  if (!has_living_owner(result)) remove_locked(kind, result.key(), {});
  return result;
}

Object MemoryCluster::apply(const ResourceKind& kind, const Object& object, const kube::ApplyOptions& options) {
  const std::lock_guard lock(mutex_);
  Json config = object.json();
  config.erase("apiVersion");
  config.erase("kind");
  for (const char* field : {"name", "namespace", "uid", "resourceVersion"}) config["metadata"].erase(field);
  if (config["metadata"].empty()) config.erase("metadata");
  const auto found = objects_.find({kind_name(kind), object.key()});
  if (found == objects_.end()) {
    if (!options.subresource.empty()) throw not_found(kind, object.key());
    if (!object.uid().empty()) throw conflict("uid " + object.uid() + " was asked for, and no object was found");
    FieldOwners owners;
    Json created = object.json();
    owners.apply(created, config, {options.field_manager}, true);
    return add(kind, Object(std::move(created)), std::move(owners));
  }
  Stored& stored = found->second;
  check_preconditions(stored.object, object.uid(), object.resource_version());
  FieldOwners owners = stored.owners;
  Object merged = stored.object;
  owners.apply(merged.json(), config, {options.field_manager, options.subresource}, options.force);
  merged = limited(kind, options.subresource, stored.object, std::move(merged));
  stored.owners = std::move(owners);
  return replace(stored, std::move(merged));
}

Object MemoryCluster::patch(const ResourceKind& kind, const ObjectKey& key, const Json& merge_patch,
                            const kube::PatchOptions& options) {
  const std::lock_guard lock(mutex_);
  Stored& stored = at(kind, key);
  const Object sent(merge_patch);
  check_preconditions(stored.object, sent.uid(), sent.resource_version());
  Object merged = stored.object;
  merged.json().merge_patch(merge_patch);
  if (options.subresource == "scale") {
    merged = stored.object;
    merged.json()["spec"]["replicas"] = sent.at("/spec/replicas");
  }
  merged = limited(kind, options.subresource, stored.object, std::move(merged));
  stored.owners.update(stored.object.json(), merged.json(), {kPatchManager, options.subresource, false});
  const bool scale = options.subresource == "scale";
  const Object result = replace(stored, std::move(merged));
  return scale ? scale_of(result) : result;
}

bool MemoryCluster::remove(const ResourceKind& kind, const ObjectKey& key, const kube::RemoveOptions& options) {
  const std::lock_guard lock(mutex_);
  return remove_locked(kind, key, options);
}

bool MemoryCluster::remove_locked(const ResourceKind& kind, const ObjectKey& key, const kube::RemoveOptions& options) {
  const auto found = objects_.find({kind_name(kind), key});
  if (found == objects_.end()) return false;
  Stored& stored = found->second;
  check_preconditions(stored.object, options.uid, options.resource_version);
  const std::int64_t grace = grace_of(kind, stored.object, options.grace_period);
  if (grace == 0 && stored.object.at("/metadata/finalizers").empty()) {
    erase(found->first);
    return true;
  }
  Object marked = stored.object;
  if (marked.is_deleted() && marked.int_at("/metadata/deletionGracePeriodSeconds") == grace) return true;
  if (!marked.is_deleted()) marked.json()["metadata"]["generation"] = marked.generation() + 1;
  marked.json()["metadata"]["deletionTimestamp"] = kube::format_time(clock_() + std::chrono::seconds(grace));
  marked.json()["metadata"]["deletionGracePeriodSeconds"] = grace;
  replace(stored, std::move(marked));
  return true;
}

void MemoryCluster::erase(const StoreKey& key) {
  const auto found = objects_.find(key);
  Stored stored = std::move(found->second);
  objects_.erase(found);
  uids_.erase(stored.object.uid());
  stored.object.json()["metadata"]["resourceVersion"] = std::to_string(++version_);
  happened(stored, EventType::kDeleted, {});
  collect_garbage(stored.object.uid());
}

bool MemoryCluster::has_living_owner(const Object& object) const {
  const auto owners = object.owners();
  return owners.empty() || std::any_of(owners.begin(), owners.end(),
                                       [&](const kube::OwnerReference& owner) { return uids_.contains(owner.uid); });
}

// Who has no owner left goes; who has another only forgets this one.
void MemoryCluster::collect_garbage(const std::string& owner_uid) {
  std::vector<std::pair<ResourceKind, ObjectKey>> owned;
  for (const auto& [key, stored] : objects_) {
    const auto owners = stored.object.owners();
    if (std::any_of(owners.begin(), owners.end(), [&](const auto& owner) { return owner.uid == owner_uid; })) {
      owned.emplace_back(stored.kind, key.second);
    }
  }
  for (const auto& [kind, key] : owned) {
    const auto found = objects_.find({kind_name(kind), key});
    if (found == objects_.end()) continue;
    if (!has_living_owner(found->second.object)) {
      remove_locked(kind, key, {});
      continue;
    }
    Object without = found->second.object;
    Json& references = without.json()["metadata"]["ownerReferences"];
    references.erase(std::remove_if(references.begin(), references.end(),
                                    [&](const Json& reference) { return reference.value("uid", "") == owner_uid; }),
                     references.end());
    replace(found->second, std::move(without));
  }
}

kube::WatchOutcome MemoryCluster::watch(const ResourceKind& kind, const kube::WatchOptions& options,
                                        const kube::WatchHandler& handler, std::stop_token stop) {
  const LabelSelector labels(options.label_selector);
  const auto selects = [&](const Object& object) {
    return (options.ns.empty() || options.ns == object.ns()) && labels.matches(object.labels()) &&
           matches_fields(options.field_selector, object);
  };
  const auto end = std::chrono::steady_clock::now() + options.timeout;
  std::uint64_t after = 0;
  const std::string& from = options.resource_version;
  std::from_chars(from.data(), from.data() + from.size(), after);
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (after < version_ && (history_.empty() || history_.front().version > after + 1)) {
      return {kube::WatchEnd::kExpired, ApiError(Code::kGone, 410, "Expired", "resource version is too old")};
    }
    const auto next =
        std::upper_bound(history_.begin(), history_.end(), after,
                         [](std::uint64_t version, const Happened& event) { return version < event.version; });
    if (next == history_.end()) {
      if (!changed_.wait_until(lock, stop, end, [&] { return version_ > after; })) break;
      continue;
    }
    after = next->version;
    if (next->kind != kind_name(kind)) continue;
    kube::WatchEvent event{next->type, next->object};
    const bool before = next->type == EventType::kModified && selects(next->before);
    const bool now = selects(next->object);
    if (!before && !now) continue;
    if (next->type == EventType::kModified && !now) {  // it left the selector: its last state within, and when
      event = {EventType::kDeleted, next->before};
      event.object.json()["metadata"]["resourceVersion"] = next->object.resource_version();
    }
    if (next->type == EventType::kModified && !before) event.type = EventType::kAdded;
    lock.unlock();
    handler(std::move(event));
    lock.lock();
  }
  if (stop.stop_requested()) return {kube::WatchEnd::kStopped, std::nullopt};
  lock.unlock();
  if (std::to_string(after) != from) handler({EventType::kBookmark, bookmark(kind, after)});
  return {kube::WatchEnd::kClosed, std::nullopt};
}

bool MemoryCluster::blocked_by_budget(const Object& pod) const {
  const auto ready = [](const Object& object) {
    const Json& conditions = object.at("/status/conditions");
    return std::any_of(conditions.begin(), conditions.end(), [](const Json& condition) {
      return condition.value("type", "") == "Ready" && condition.value("status", "") == "True";
    });
  };
  const auto selected = [](const Object& budget, const Object& object) {
    std::string selector;
    for (const auto& item : budget.at("/spec/selector/matchLabels").items()) {
      selector += item.key() + "=" + item.value().get<std::string>() + ",";
    }
    return object.ns() == budget.ns() && LabelSelector(selector).matches(object.labels());
  };
  for (const auto& [key, budget] : objects_) {
    if (budget.kind != kube::kPodDisruptionBudget || !selected(budget.object, pod)) continue;
    std::int64_t healthy = 0;
    for (const auto& [other_key, other] : objects_) {
      if (other.kind == kube::kPod && selected(budget.object, other.object) && ready(other.object)) ++healthy;
    }
    if (ready(pod) && healthy - 1 < budget.object.int_at("/spec/minAvailable").value_or(0)) return true;
  }
  return false;
}

kube::Eviction MemoryCluster::evict(const ObjectKey& pod, std::optional<std::int64_t> grace_period) {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find({kind_name(kube::kPod), pod});
  if (found == objects_.end()) return kube::Eviction::kNotFound;
  if (blocked_by_budget(found->second.object)) return kube::Eviction::kBlocked;
  kube::RemoveOptions options;
  options.grace_period = grace_period;
  remove_locked(kube::kPod, pod, options);
  return kube::Eviction::kEvicted;
}

}  // namespace millrace::controller::local
