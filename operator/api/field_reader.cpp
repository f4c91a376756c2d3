#include "operator/api/field_reader.h"

#include "operator/api/quantity.h"

namespace millrace::controller {
namespace {

std::string shown(const kube::Json& value) {
  std::string text = value.dump(-1, ' ', false, kube::Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace

FieldReader::FieldReader(const kube::Json& object, std::string path, std::vector<std::string>& problems)
    : object_(object), path_(std::move(path)), problems_(problems) {
  if (!object_.is_object()) problems_.push_back(path_ + " is " + shown(object_) + ": it must be an object");
}

bool FieldReader::has(const std::string& key) const {
  return object_.is_object() && object_.contains(key) && !object_[key].is_null();
}

const kube::Json* FieldReader::find(const std::string& key) {
  known_.insert(key);
  return has(key) ? &object_[key] : nullptr;
}

void FieldReader::each(const std::string& key, std::size_t max_items, const std::string& shape,
                       const std::function<void(FieldReader&)>& read) {
  kube::Json items;
  read_array(key, items, max_items);
  for (std::size_t i = 0; items.is_array() && i < items.size(); ++i) {
    const std::string item = key + "[" + std::to_string(i) + "]";
    if (!items[i].is_object()) {
      problem(item, "is not " + shape);
      continue;
    }
    FieldReader fields(items[i], name(item), problems_);
    read(fields);
  }
}

void FieldReader::problem(const std::string& key, const std::string& what) {
  problems_.push_back(name(key) + " " + what);
}

void FieldReader::read(const std::string& key, std::optional<std::int64_t>& value, std::int64_t min, std::int64_t max) {
  const kube::Json* found = find(key);
  if (found == nullptr) return;
  const bool fits = found->is_number_integer() &&
                    (!found->is_number_unsigned() || found->get<std::uint64_t>() <= static_cast<std::uint64_t>(max)) &&
                    found->get<std::int64_t>() >= min && found->get<std::int64_t>() <= max;
  if (fits) {
    value = found->get<std::int64_t>();
  } else {
    problem(key,
            "is " + shown(*found) + ": use a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  }
}

void FieldReader::read(const std::string& key, std::int32_t& value, std::int64_t min, std::int64_t max) {
  std::optional<std::int64_t> wide;
  read(key, wide, min, max);
  if (wide) value = static_cast<std::int32_t>(*wide);
}

void FieldReader::read(const std::string& key, std::string& value, std::size_t max_size) {
  const kube::Json* found = find(key);
  if (found == nullptr) return;
  if (!found->is_string()) {
    problem(key, "is " + shown(*found) + ": use a string");
  } else if (found->get_ref<const std::string&>().size() > max_size) {
    problem(key, "is longer than " + std::to_string(max_size) + " bytes: shorten it");
  } else {
    value = found->get<std::string>();
  }
}

void FieldReader::read(const std::string& key, std::map<std::string, std::string>& value) {
  within(key, [&](FieldReader& map) {
    for (const auto& item : map.object_.items()) map.read(item.key(), value[item.key()], 8192);
  });
}

void FieldReader::read_quantities(const std::string& key, std::map<std::string, std::string>& value) {
  within(key, [&](FieldReader& map) {
    for (const auto& item : map.object_.items()) {
      map.known_.insert(item.key());
      if (!quantity_of(item.value())) {
        map.problem(item.key(), "is " + shown(item.value()) + ": use a quantity such as 500m, 4 or 16Gi");
      } else {
        value[item.key()] = item.value().is_string() ? item.value().get<std::string>() : item.value().dump();
      }
    }
  });
}

void FieldReader::read_array(const std::string& key, kube::Json& value, std::size_t max_items) {
  const kube::Json* found = find(key);
  if (found == nullptr) return;
  if (!found->is_array() || found->size() > max_items) {
    problem(key, "is " + shown(*found) + ": use a list of at most " + std::to_string(max_items) + " items");
    return;
  }
  value = *found;
}

void FieldReader::read_object(const std::string& key, kube::Json& value) {
  const kube::Json* found = find(key);
  if (found == nullptr) return;
  if (!found->is_object()) {
    problem(key, "is " + shown(*found) + ": use an object");
    return;
  }
  value = *found;
}

void FieldReader::read_strings(const std::string& key, std::vector<std::string>& value, std::size_t max_items) {
  kube::Json list;
  read_array(key, list, max_items);
  for (const kube::Json& item : list) {
    if (item.is_string()) {
      value.push_back(item.get<std::string>());
    } else {
      problem(key, "has " + shown(item) + ": use strings only");
    }
  }
}

void FieldReader::within(const std::string& key, const std::function<void(FieldReader&)>& read) {
  const kube::Json* found = find(key);
  if (found == nullptr) return;
  FieldReader inner(*found, name(key), problems_);
  if (found->is_object()) read(inner);
}

void FieldReader::refuse_unknown() {
  if (!object_.is_object()) return;
  for (const auto& item : object_.items()) {
    if (known_.contains(item.key())) continue;
    std::string names;
    for (const std::string& known : known_) names += (names.empty() ? "" : ", ") + known;
    problem(item.key(), "is not a field: remove it, or use one of " + names);
  }
}

}  // namespace millrace::controller
