// Reads a JSON object field by field and collects everything that is wrong with it, so that a person sees all mistakes
// at once. Absent and null fields leave the value as it is.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/kube/object.h"

namespace millrace::controller {

class FieldReader {
 public:
  // Borrows all three. `path` starts messages: "spec.model".
  FieldReader(const kube::Json& object, std::string path, std::vector<std::string>& problems);

  bool has(const std::string& key) const;
  void read(const std::string& key, std::int32_t& value, std::int64_t min, std::int64_t max);
  void read(const std::string& key, std::optional<std::int64_t>& value, std::int64_t min, std::int64_t max);
  void read(const std::string& key, std::string& value, std::size_t max_size);
  void read(const std::string& key, std::map<std::string, std::string>& value);
  void read_quantities(const std::string& key, std::map<std::string, std::string>& value);
  void read_array(const std::string& key, kube::Json& value, std::size_t max_items);
  void read_object(const std::string& key, kube::Json& value);
  void read_strings(const std::string& key, std::vector<std::string>& value, std::size_t max_items);
  // Calls `read` for the object in `key`; an absent one is not visited.
  void within(const std::string& key, const std::function<void(FieldReader&)>& read);
  // Calls `read` for every object of the array in `key`. `shape` says what an item should be: "an object with a and b".
  void each(const std::string& key, std::size_t max_items, const std::string& shape,
            const std::function<void(FieldReader&)>& read);

  void problem(const std::string& key, const std::string& what);  // "<path>.<key> <what>"
  void refuse_unknown();  // after all reads; only the objects visited so far are checked
  const kube::Json* find(const std::string& key);

 private:
  std::string name(const std::string& key) const { return path_ + "." + key; }

  const kube::Json& object_;
  std::string path_;
  std::vector<std::string>& problems_;
  std::set<std::string> known_;
};

}  // namespace millrace::controller
