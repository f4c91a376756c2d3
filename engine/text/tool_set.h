// The tools of a request, read once: the lines the chat template shows to the model, and the argument types by which
// the output parser turns the model's text into JSON.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::engine {

// How the text of an argument is read (qwen3_5-io 3.2).
enum class ArgumentKind { kString, kInteger, kNumber, kBoolean, kJson };

struct ArgumentType {
  ArgumentKind kind = ArgumentKind::kString;
  bool nullable = false;  // for strings: whether the text null means JSON null
};

struct ToolSignature {
  std::string name;
  std::map<std::string, ArgumentType, std::less<>> arguments;
};

class ToolSet {
 public:
  ToolSet() = default;

  // An array of tools, each {"type": "function", "function": {"name", "parameters"}} or the flat {"name",
  // "parameters"}. null and [] mean no tools. Throws kInvalidArgument if it is not an array of objects; a tool without
  // a name renders but types nothing.
  static ToolSet parse(const nlohmann::ordered_json& tools);

  bool empty() const { return lines_.empty(); }
  // Python-style JSON of each whole tool object, key order kept.
  const std::vector<std::string>& lines() const { return lines_; }
  // Of the tools that have one.
  const std::vector<std::string>& names() const { return names_; }
  // Null when no tool has that name.
  const ToolSignature* find(std::string_view name) const;

 private:
  std::vector<std::string> lines_;
  std::vector<std::string> names_;
  std::vector<ToolSignature> signatures_;
};

}  // namespace millrace::engine
