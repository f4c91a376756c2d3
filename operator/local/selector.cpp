#include "operator/local/selector.h"

#include <algorithm>
#include <cctype>

#include "common/error.h"

namespace millrace::controller::local {
namespace {

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Commas inside parentheses do not separate.
std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  int depth = 0;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '(') ++depth;
    if (i < text.size() && text[i] == ')') --depth;
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      if (const std::string_view part = trim(text.substr(start, i - start)); !part.empty()) parts.push_back(part);
      start = i + 1;
    }
  }
  return parts;
}

// The name of a label, and nothing that could be a mistyped operator.
std::string key_in(std::string_view term, std::string_view key) {
  const auto belongs = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
  };
  if (key.empty() || !std::all_of(key.begin(), key.end(), belongs)) {
    throw common::Error(common::Code::kInvalidArgument,
                        "label selector has \"" + std::string(term) +
                            "\": use key, !key, key=a, key!=a, key in (a,b) or key notin (a,b)");
  }
  return std::string(key);
}

}  // namespace

LabelSelector::LabelSelector(const std::string& text) {
  for (const std::string_view part : split(text)) terms_.push_back(parse_term(part));
}

LabelSelector::Term LabelSelector::parse_term(std::string_view text) {
  Term term;
  if (text.front() == '!') {
    return {key_in(text, trim(text.substr(1))), {}, false, true};
  }
  if (const std::size_t open = text.find('('); open != std::string_view::npos && text.back() == ')') {
    const std::string_view head = trim(text.substr(0, open));
    const std::size_t space = head.find_last_of(" \t");
    const std::string_view word = space == std::string_view::npos ? std::string_view{} : head.substr(space + 1);
    if (word != "in" && word != "notin") {
      throw common::Error(common::Code::kInvalidArgument, "label selector has \"" + std::string(text) +
                                                              "\": use \"key in (a,b)\" or \"key notin (a,b)\"");
    }
    term.key = key_in(text, trim(head.substr(0, space)));
    term.wanted = word == "in";
    for (const std::string_view value : split(text.substr(open + 1, text.size() - open - 2))) {
      term.values.emplace_back(value);
    }
    return term;
  }
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return {key_in(text, text), {}, true, true};
  const bool negated = equals > 0 && text[equals - 1] == '!';
  const std::size_t value = text.substr(equals).starts_with("==") ? equals + 2 : equals + 1;
  term.key = key_in(text, trim(text.substr(0, negated ? equals - 1 : equals)));
  term.wanted = !negated;
  term.values.emplace_back(trim(text.substr(value)));
  return term;
}

bool LabelSelector::matches(const std::map<std::string, std::string>& labels) const {
  return std::all_of(terms_.begin(), terms_.end(), [&](const Term& term) {
    const auto label = labels.find(term.key);
    const bool there = label != labels.end();
    const bool hit = there && (term.any_value ||
                               std::find(term.values.begin(), term.values.end(), label->second) != term.values.end());
    return hit == term.wanted;
  });
}

bool matches_fields(const std::string& selector, const kube::Object& object) {
  const std::vector<std::string_view> terms = split(selector);
  return std::all_of(terms.begin(), terms.end(), [&](std::string_view term) {
    const std::size_t equals = term.find('=');
    if (equals == std::string_view::npos) return false;
    const bool negated = equals > 0 && term[equals - 1] == '!';
    std::string pointer = "/" + std::string(trim(term.substr(0, negated ? equals - 1 : equals)));
    std::replace(pointer.begin(), pointer.end(), '.', '/');
    return (object.string_at(pointer) == trim(term.substr(equals + 1))) != negated;
  });
}

}  // namespace millrace::controller::local
