// Manifest files: YAML (or JSON, which YAML contains), one or more documents.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "operator/kube/object.h"

namespace millrace::controller {

// Plain scalars become booleans, integers, floats and null as in YAML 1.2's core schema; quoted ones stay strings.
// `name` starts messages. Throws common::Error{kInvalidArgument} with the line of a syntax error.
std::vector<kube::Json> parse_yaml(const std::string& text, const std::string& name);

// Every document of the file as an object, `List` kinds flattened. Throws kNotFound when the file cannot be read.
std::vector<kube::Object> read_manifest(const std::filesystem::path& file);

}  // namespace millrace::controller
