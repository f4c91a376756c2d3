#include "engine/text/tool_set.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/error.h"
#include "engine/text/python_text.h"

namespace millrace::engine {
namespace {

using nlohmann::ordered_json;

[[noreturn]] void refuse_tool(const std::string& what) {
  throw common::Error(common::Code::kInvalidArgument, what);
}

const ordered_json* find(const ordered_json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(name);
  return it == object.end() ? nullptr : &*it;
}

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](std::string_view p) { return text.starts_with(p); });
}

// Model authors write types loosely; this is the list that other servers accept.
ArgumentKind kind_of(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (starts_with_any(name, {"int", "uint", "long", "short", "unsigned"})) return ArgumentKind::kInteger;
  if (starts_with_any(name, {"num", "float"})) return ArgumentKind::kNumber;
  if (name == "boolean" || name == "bool" || name == "binary") return ArgumentKind::kBoolean;
  if (name == "object" || starts_with_any(name, {"arr", "dict", "list"})) return ArgumentKind::kJson;
  return ArgumentKind::kString;
}

// What a schema says, from "type" (a name or a list), else the alternatives of anyOf or oneOf, else a local $ref.
class SchemaReader {
 public:
  explicit SchemaReader(const ordered_json& parameters) : parameters_(parameters) {}

  ArgumentType read(const ordered_json& schema) {
    visit(schema, 0);
    return {kind_.value_or(ArgumentKind::kString), nullable_};
  }

 private:
  static constexpr int kMaxDepth = 8;  // $ref may be circular

  void visit(const ordered_json& schema, int depth) {
    if (depth > kMaxDepth) return;
    if (const ordered_json* type = find(schema, "type")) return add_types(*type);
    for (const char* name : {"anyOf", "oneOf", "allOf"}) {
      const ordered_json* alternatives = find(schema, name);
      if (!alternatives || !alternatives->is_array()) continue;
      for (const ordered_json& alternative : *alternatives) visit(alternative, depth + 1);
      return;
    }
    if (const ordered_json* target = resolve(schema)) visit(*target, depth + 1);
  }

  void add_types(const ordered_json& type) {
    if (type.is_array()) {
      for (const ordered_json& one : type) add_types(one);
    } else if (type == "null") {
      nullable_ = true;
    } else if (type.is_string() && !kind_) {
      kind_ = kind_of(type.get<std::string>());
    }
  }

  const ordered_json* resolve(const ordered_json& schema) const {
    const ordered_json* ref = find(schema, "$ref");
    if (!ref || !ref->is_string()) return nullptr;
    const std::string path = ref->get<std::string>();
    for (const char* table : {"$defs", "definitions"}) {
      const std::string prefix = "#/" + std::string(table) + "/";
      const ordered_json* definitions = find(parameters_, table);
      if (definitions && path.starts_with(prefix)) return find(*definitions, path.substr(prefix.size()).c_str());
    }
    return nullptr;
  }

  const ordered_json& parameters_;
  std::optional<ArgumentKind> kind_;
  bool nullable_ = false;
};

ToolSignature read_signature(const ordered_json& tool) {
  const ordered_json* nested = find(tool, "function");
  const ordered_json& function = nested ? *nested : tool;
  ToolSignature signature;
  if (const ordered_json* name = find(function, "name"); name && name->is_string())
    signature.name = name->get<std::string>();
  const ordered_json* parameters = find(function, "parameters");
  const ordered_json* properties = parameters ? find(*parameters, "properties") : nullptr;
  if (!properties || !properties->is_object()) return signature;
  for (const auto& [key, schema] : properties->items()) {
    signature.arguments[key] = SchemaReader(*parameters).read(schema);
  }
  return signature;
}

}  // namespace

ToolSet ToolSet::parse(const ordered_json& tools) {
  ToolSet set;
  if (tools.is_null()) return set;
  if (!tools.is_array()) refuse_tool("tools is " + std::string(tools.type_name()) + "; accepted: an array of tools");
  for (std::size_t i = 0; i < tools.size(); ++i) {
    if (!tools[i].is_object()) {
      refuse_tool("tools[" + std::to_string(i) + "] is " + tools[i].type_name() +
                  "; accepted: an object with a function");
    }
    set.lines_.push_back(python_json(tools[i]));
    set.signatures_.push_back(read_signature(tools[i]));
    if (!set.signatures_.back().name.empty()) set.names_.push_back(set.signatures_.back().name);
  }
  return set;
}

const ToolSignature* ToolSet::find(std::string_view name) const {
  const auto it = std::find_if(signatures_.begin(), signatures_.end(), [&](const auto& s) { return s.name == name; });
  return it == signatures_.end() || name.empty() ? nullptr : &*it;
}

}  // namespace millrace::engine
