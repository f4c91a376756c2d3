#include "operator/reconcile/compare.h"

#include <algorithm>

#include "operator/api/labels.h"
#include "operator/plan/revision.h"

namespace millrace::controller {
namespace {

using kube::Json;

bool contains(const Json& stored, const Json& wanted);

bool contains_item(const Json& stored, const Json& wanted) {
  return std::any_of(stored.begin(), stored.end(), [&](const Json& item) { return contains(item, wanted); });
}

bool contains(const Json& stored, const Json& wanted) {
  if (wanted.is_object()) {
    if (!stored.is_object()) return false;
    return std::all_of(wanted.items().begin(), wanted.items().end(), [&](const auto& item) {
      const auto found = stored.find(item.key());
      return found != stored.end() && contains(*found, item.value());
    });
  }
  if (wanted.is_array()) {
    return stored.is_array() &&
           std::all_of(wanted.begin(), wanted.end(), [&](const Json& item) { return contains_item(stored, item); });
  }
  return stored == wanted;
}

std::string item_name(const Json& item) {
  for (const char* key : {"type", "name"}) {
    if (item.is_object() && item.contains(key) && item[key].is_string()) return item[key].get<std::string>();
  }
  return "";
}

Json in_order(Json status) {
  if (!status.is_object()) return status;
  for (auto& item : status.items()) {
    if (!item.value().is_array()) continue;
    std::stable_sort(item.value().begin(), item.value().end(),
                     [](const Json& a, const Json& b) { return item_name(a) < item_name(b); });
  }
  return status;
}

}  // namespace

kube::Object with_applied_mark(kube::Object wanted) {
  const std::string hash = short_hash(wanted.json());
  wanted.json()["metadata"]["annotations"][kAppliedAnnotation] = hash;
  return wanted;
}

bool is_as_wanted(const kube::Object& wanted_with_mark, const kube::Object& stored) {
  return contains(stored.json(), wanted_with_mark.json());
}

bool same_status(const Json& a, const Json& b) {
  return in_order(a) == in_order(b);
}

}  // namespace millrace::controller
