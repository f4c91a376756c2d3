#include "operator/api/manifest.h"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>

#include "common/error.h"
#include "common/file.h"

namespace millrace::controller {
namespace {

using common::Code;
using common::Error;
using kube::Json;

constexpr int kMaxDepth = 100;
constexpr int kMaxNodes = 200'000;  // after aliases are written out: they can multiply

Json plain_scalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const char* begin = text.data() + (text.front() == '+' ? 1 : 0);
  const char* end = text.data() + text.size();
  std::int64_t integer = 0;
  if (const auto [last, error] = std::from_chars(begin, end, integer); error == std::errc() && last == end) {
    return integer;
  }
  const bool numeric = text.find_first_not_of("+-.0123456789eE") == std::string::npos &&
                       text.find_first_of("0123456789") != std::string::npos;
  double real = 0;
  if (numeric) {
    const auto [last, error] = std::from_chars(begin, end, real);
    if (error == std::errc() && last == end && std::isfinite(real)) return real;
  }
  return text;
}

class Converter {
 public:
  Json convert(const YAML::Node& node, int depth = 0) {
    if (depth > kMaxDepth) throw Error(Code::kInvalidArgument, "it nests deeper than 100 levels");
    if (++nodes_ > kMaxNodes) throw Error(Code::kInvalidArgument, "it has more than 200000 values");
    switch (node.Type()) {
      case YAML::NodeType::Scalar:
        return node.Tag() == "!" ? Json(node.Scalar()) : plain_scalar(node.Scalar());
      case YAML::NodeType::Sequence:
        return convert_list(node, depth);
      case YAML::NodeType::Map:
        return convert_map(node, depth);
      default:
        return nullptr;
    }
  }

 private:
  Json convert_list(const YAML::Node& node, int depth) {
    Json list = Json::array();
    for (const YAML::Node& item : node) list.push_back(convert(item, depth + 1));
    return list;
  }

  Json convert_map(const YAML::Node& node, int depth) {
    Json map = Json::object();
    for (const auto& item : node) {
      const std::string key = item.first.as<std::string>();
      if (map.contains(key)) throw Error(Code::kInvalidArgument, "the key \"" + key + "\" is there twice");
      map[key] = convert(item.second, depth + 1);
    }
    return map;
  }

  int nodes_ = 0;
};

void flatten(Json document, std::vector<kube::Object>& objects, const std::string& name) {
  if (document.is_null()) return;  // an empty document between two "---"
  if (!document.is_object()) throw Error(Code::kInvalidArgument, name + ": a document is not an object");
  if (document.contains("items") && document.contains("kind") && document["kind"] == "List") {
    for (Json& item : document["items"]) flatten(std::move(item), objects, name);
    return;
  }
  objects.emplace_back(std::move(document));
}

}  // namespace

std::vector<Json> parse_yaml(const std::string& text, const std::string& name) {
  try {
    std::vector<Json> documents;
    for (const YAML::Node& document : YAML::LoadAll(text)) documents.push_back(Converter().convert(document));
    return documents;
  } catch (const YAML::Exception& error) {
    throw Error(Code::kInvalidArgument, name + ": line " + std::to_string(error.mark.line + 1) + ": " + error.msg);
  } catch (const Error& error) {
    throw Error(error.code(), name + ": " + error.what());
  }
}

std::vector<kube::Object> read_manifest(const std::filesystem::path& file) {
  const std::string text = common::read_file(file, "manifest in YAML or JSON");
  std::vector<kube::Object> objects;
  for (Json& document : parse_yaml(text, file.string())) flatten(std::move(document), objects, file.string());
  return objects;
}

}  // namespace millrace::controller
