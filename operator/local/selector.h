// Label and field selectors as the API server understands them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "operator/kube/object.h"

namespace millrace::controller::local {

// "a=b,c!=d,e in (f,g),h notin (i),j,!k". Throws common::Error{kInvalidArgument} when it cannot be read.
class LabelSelector {
 public:
  explicit LabelSelector(const std::string& text);

  bool matches(const std::map<std::string, std::string>& labels) const;

 private:
  struct Term {
    std::string key;
    std::vector<std::string> values;
    bool wanted = true;  // false: the label must not be there, or must not have one of the values
    bool any_value = false;
  };
  static Term parse_term(std::string_view text);

  std::vector<Term> terms_;
};

// "metadata.name=x,spec.nodeName!=y": equality of strings at dotted paths.
bool matches_fields(const std::string& selector, const kube::Object& object);

}  // namespace millrace::controller::local
