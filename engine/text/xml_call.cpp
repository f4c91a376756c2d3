#include "engine/text/xml_call.h"

#include "engine/text/argument_value.h"
#include "engine/text/markup.h"
#include "engine/text/python_text.h"

namespace millrace::engine {
namespace {

constexpr std::string_view kParameter = "<parameter=";
constexpr std::string_view kEndParameter = "</parameter>";
constexpr std::string_view kEndFunction = "</function>";
constexpr std::string_view kEndCall = "</tool_call>";
constexpr std::string_view kStartCall = "<tool_call>";
constexpr std::string_view kStartFunction = "<function=";
constexpr std::size_t kMaxName = 512;  // bytes of a function or parameter name

// A name ends at '>', or, when that was forgotten, at a line end or the next tag. npos: not yet.
std::size_t name_end(std::string_view text) {
  const std::size_t end = text.substr(0, kMaxName).find_first_of(">\n<");
  return end == std::string_view::npos && text.size() >= kMaxName ? kMaxName : end;
}

std::size_t behind_name(std::string_view text, std::size_t end) {
  return end < text.size() && (text[end] == '>' || text[end] == '\n') ? end + 1 : end;
}

// Also understands name="f" of <function name="f">.
std::string_view clean_name(std::string_view name) {
  name = python_strip(name);
  if (name.starts_with("name=")) name.remove_prefix(5);
  if (name.size() >= 2 && name.front() == '"' && name.back() == '"') name = name.substr(1, name.size() - 2);
  return name;
}

// "</function>" ends a value only where the call ends with it; elsewhere it is text the model quotes.
MarkupMatch match_function_end(std::string_view text, bool last) {
  const MarkupMatch whole = match_spaced(text, kEndFunction, kEndCall);
  const bool ends_text = last && whole.maybe() && text.size() >= kEndFunction.size();
  return ends_text ? MarkupMatch{MarkupMatch::Verdict::kYes, 0} : whole;
}

// "<parameter=KEY>" of a known key: the model forgot to close the value before it.
MarkupMatch match_known_parameter(std::string_view text, const ToolSignature* signature) {
  MarkupMatch match = match_literal(text, kParameter);
  if (!match.yes()) return match;
  match = {};
  if (signature == nullptr) return match;
  for (const auto& [key, type] : signature->arguments) {
    const MarkupMatch one = match_literal(text.substr(kParameter.size()), key + ">");
    if (one.yes()) return one;
    if (one.maybe()) match = one;
  }
  return match;
}

}  // namespace

std::size_t XmlCall::consume(std::string_view text, bool last, DeltaSink& sink) {
  std::size_t taken = 0;
  while (!done()) {
    const State before = state_;
    const std::size_t n = step(text.substr(taken), last, sink);
    taken += n;
    if (n == 0 && state_ == before) break;
  }
  return taken;
}

std::size_t XmlCall::step(std::string_view text, bool last, DeltaSink& sink) {
  switch (state_) {
    case State::kName:
      return read_name(text, sink);
    case State::kBetween:
      return read_between(text, sink);
    case State::kKey:
      return read_key(text, sink);
    case State::kValueStart:
      return start_value(text);
    case State::kValue:
      return read_value(text, last, sink);
    case State::kDone:
      break;
  }
  return 0;
}

std::size_t XmlCall::read_name(std::string_view text, DeltaSink& sink) {
  const std::size_t end = name_end(text);
  if (end == std::string_view::npos) return 0;
  const std::string name(clean_name(text.substr(0, end)));
  signature_ = tools_.find(name);
  sink.start_call(name);
  state_ = State::kBetween;
  return behind_name(text, end);
}

std::size_t XmlCall::read_between(std::string_view text, DeltaSink& sink) {
  const std::size_t tag = text.find('<');
  if (tag != 0) return std::min(tag, text.size());  // nothing but tags means anything here
  if (match_literal(text, kParameter).yes()) {
    state_ = State::kKey;
    return kParameter.size();
  }
  bool undecided = match_literal(text, kParameter).maybe();
  for (const std::string_view end : {kEndFunction, kEndCall, kStartCall, kStartFunction}) {
    const MarkupMatch match = match_literal(text, end);
    undecided = undecided || match.maybe();
    if (!match.yes()) continue;
    close(sink);
    return end == kEndFunction ? match.length : 0;  // the other tags are for the caller
  }
  return undecided ? 0 : 1;
}

std::size_t XmlCall::read_key(std::string_view text, DeltaSink& sink) {
  const std::size_t end = name_end(text);
  if (end == std::string_view::npos) return 0;
  const std::string key(clean_name(text.substr(0, end)));
  type_ = {};
  if (signature_ != nullptr) {
    if (const auto known = signature_->arguments.find(key); known != signature_->arguments.end()) type_ = known->second;
  }
  sink.arguments((any_argument_ ? ", " : "{") + json_string(key) + ": ");
  any_argument_ = true;
  // A line end in place of '>' is also the one that starts the value.
  state_ = end < text.size() && text[end] == '\n' ? State::kValue : State::kValueStart;
  at_line_start_ = true;
  return behind_name(text, end);
}

std::size_t XmlCall::start_value(std::string_view text) {
  if (text.empty()) return 0;
  state_ = State::kValue;
  return text[0] == '\n' ? 1 : 0;
}

// Takes the value up to the first place where it might end. One line end before the end is not part of it.
std::size_t XmlCall::read_value(std::string_view text, bool last, DeltaSink& sink) {
  if (text.empty()) return 0;
  const std::size_t plain = std::min(text.find_first_of("<\n"), text.size());
  if (plain > 0) {
    add_value(text.substr(0, plain), sink);
    at_line_start_ = false;
    return plain;
  }
  const std::size_t newline = text[0] == '\n' ? 1 : 0;
  const std::string_view tag = text.substr(newline);
  const bool line_start = newline == 1 || at_line_start_;
  const MarkupMatch end = match_literal(tag, kEndParameter);
  const MarkupMatch function_end = match_function_end(tag, last);
  const MarkupMatch next = line_start ? match_known_parameter(tag, signature_) : MarkupMatch{};
  if (end.yes() || function_end.yes() || next.yes()) {
    end_value(sink);
    return newline + (end.yes() ? end.length : 0);
  }
  if (end.maybe() || function_end.maybe() || next.maybe()) return 0;
  add_value(text.substr(0, 1), sink);
  at_line_start_ = newline == 1;
  return 1;
}

void XmlCall::add_value(std::string_view text, DeltaSink& sink) {
  value_ += text;
  if (type_.kind != ArgumentKind::kString || (!string_open_ && may_mean_null(value_, type_))) return;
  std::string json = string_open_ ? "" : "\"";
  append_json_escaped(value_, json);
  value_.clear();
  string_open_ = true;
  sink.arguments(json);
}

void XmlCall::end_value(DeltaSink& sink) {
  sink.arguments(string_open_ ? "\"" : argument_to_json(value_, type_));
  value_.clear();
  string_open_ = false;
  state_ = State::kBetween;
}

void XmlCall::close(DeltaSink& sink) {
  sink.arguments(any_argument_ ? "}" : "{}");
  state_ = State::kDone;
}

void XmlCall::end_of_answer(DeltaSink& sink) {
  if (state_ == State::kBetween) close(sink);
}

}  // namespace millrace::engine
