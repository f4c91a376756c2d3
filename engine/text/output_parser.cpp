#include "engine/text/output_parser.h"

#include <random>
#include <variant>

#include "engine/text/delta_sink.h"
#include "engine/text/json_call.h"
#include "engine/text/markup.h"
#include "engine/text/xml_call.h"

namespace millrace::engine {
namespace {

constexpr std::string_view kThink = "<think>";
constexpr std::string_view kEndThink = "</think>";
constexpr std::string_view kStartCall = "<tool_call>";
constexpr std::string_view kEndCall = "</tool_call>";
constexpr std::string_view kStartFunction = "<function=";

std::function<std::string()> random_call_ids() {
  return [random = std::mt19937_64(std::random_device{}())]() mutable {
    std::string id = "call_";
    for (int i = 0; i < 24; ++i) id += "0123456789abcdef"[random() % 16];
    return id;
  };
}

}  // namespace

// Text not yet decided stays in held_ and is looked at again with more behind it; every state keeps it short.
struct OutputParser::State {
  State(const ToolSet& tools, OutputParserOptions options);

  enum class Mode {
    kStart,         // a leading <think> may come
    kReasoning,     //
    kContentStart,  // white space before content is dropped when a call follows
    kContent,       //
    kCall,          //
    kAfterCall,     // closing tags and white space between calls are dropped
  };

  std::vector<OutputDelta> feed(std::string_view text, bool last);
  std::size_t step(std::string_view text, bool last);
  std::size_t start(std::string_view text, bool last);
  std::size_t reasoning(std::string_view text, bool last);
  std::size_t content_start(std::string_view text, bool last);
  std::size_t content(std::string_view text, bool last);
  std::size_t call(std::string_view text, bool last);
  std::size_t after_call(std::string_view text, bool last);
  std::size_t take_space(std::string_view text);
  void end_reasoning();
  void release_space();

  MarkupMatch match_call(std::string_view text) const;
  MarkupMatch match_bare_call(std::string_view text) const;
  void begin_call();
  void end_false_call(bool arguments_began);
  void finish_call(bool truncated);

  const ToolSet& tools_;
  OutputParserOptions options_;
  DeltaSink sink_;
  Mode mode_;
  std::string held_;
  std::string space_;           // seen in kContentStart and kAfterCall; shown if text follows
  bool drop_newlines_ = false;  // the next content starts behind </think>
  std::variant<std::monostate, XmlCall, JsonCall> call_;
  bool open_call_ = false;
};

OutputParser::State::State(const ToolSet& tools, OutputParserOptions options)
    : tools_(tools),
      options_(std::move(options)),
      sink_(options_.make_call_id ? options_.make_call_id : random_call_ids()),
      mode_(options_.parse_reasoning ? Mode::kStart : Mode::kContentStart) {}

std::vector<OutputDelta> OutputParser::State::feed(std::string_view text, bool last) {
  const std::string joined = std::exchange(held_, {}).append(text);
  std::string_view rest = joined;
  while (true) {
    const Mode before = mode_;
    const std::size_t n = step(rest, last);
    rest.remove_prefix(n);
    if (n == 0 && mode_ == before) break;
  }
  held_ = rest;
  return sink_.take();
}

// Takes what it can from the start of the text; with `last`, "maybe" counts as "no".
std::size_t OutputParser::State::step(std::string_view text, bool last) {
  switch (mode_) {
    case Mode::kStart:
      return start(text, last);
    case Mode::kReasoning:
      return reasoning(text, last);
    case Mode::kContentStart:
      return content_start(text, last);
    case Mode::kContent:
      return content(text, last);
    case Mode::kCall:
      return call(text, last);
    case Mode::kAfterCall:
      return after_call(text, last);
  }
  return 0;
}

std::size_t OutputParser::State::start(std::string_view text, bool last) {
  const MarkupMatch think = match_spaced(text, "", kThink);
  if (think.maybe() && !last) return 0;
  if (think.yes()) {
    mode_ = Mode::kReasoning;
    return think.length;
  }
  mode_ = options_.starts_in_reasoning ? Mode::kReasoning : Mode::kContentStart;
  return 0;
}

std::size_t OutputParser::State::reasoning(std::string_view text, bool last) {
  const std::size_t tag = text.find('<');
  if (tag != 0) {
    sink_.reasoning(text.substr(0, tag));
    return std::min(tag, text.size());
  }
  const MarkupMatch end = match_literal(text, kEndThink);
  if (end.yes()) {
    end_reasoning();
    return end.length;
  }
  // The family may call a tool without closing its thought; a mere mention of the tag stays a thought.
  const MarkupMatch call = match_call(text);
  if (call.yes()) {
    end_reasoning();
    return 0;
  }
  if ((end.maybe() || call.maybe()) && !last) return 0;
  sink_.reasoning(text.substr(0, 1));
  return 1;
}

void OutputParser::State::end_reasoning() {
  drop_newlines_ = true;
  mode_ = Mode::kContentStart;
}

std::size_t OutputParser::State::take_space(std::string_view text) {
  const std::size_t n = count_markup_space(text);
  space_ += text.substr(0, n);
  return n;
}

void OutputParser::State::release_space() {
  if (drop_newlines_) space_.erase(0, std::min(space_.find_first_not_of('\n'), space_.size()));
  drop_newlines_ = false;
  sink_.content(space_);
  space_.clear();
  mode_ = Mode::kContent;
}

std::size_t OutputParser::State::content_start(std::string_view text, bool last) {
  if (const std::size_t n = take_space(text)) return n;
  if (!text.empty() && match_call(text).maybe() && !last) return 0;
  if (!text.empty() && match_call(text).yes()) {
    space_.clear();
    begin_call();
    return match_call(text).length;
  }
  if (!text.empty() || last) release_space();
  return 0;
}

std::size_t OutputParser::State::content(std::string_view text, bool last) {
  const std::size_t tag = options_.parse_tool_calls ? text.find('<') : std::string_view::npos;
  if (tag != 0) {
    sink_.content(text.substr(0, tag));
    return std::min(tag, text.size());
  }
  const MarkupMatch call = match_call(text);
  if (call.yes()) {
    begin_call();
    return call.length;
  }
  if (call.maybe() && !last) return 0;
  sink_.content(text.substr(0, 1));
  return 1;
}

std::size_t OutputParser::State::call(std::string_view text, bool last) {
  std::size_t n = 0;
  bool done = false;
  if (auto* xml = std::get_if<XmlCall>(&call_)) {
    n = xml->consume(text, last, sink_);
    done = xml->done();
  } else if (auto* json = std::get_if<JsonCall>(&call_)) {
    n = json->consume(text, sink_);
    done = json->done();
    if (done && (!json->is_call() || json->is_open())) {
      end_false_call(json->is_open());
      return n;
    }
  }
  if (done) {
    call_ = std::monostate();
    mode_ = Mode::kAfterCall;
  }
  return n;
}

// What looked like a call is not, or not any more, JSON: what follows is text. A call whose arguments broke off stays
// the last one, because nobody can execute it.
void OutputParser::State::end_false_call(bool arguments_began) {
  call_ = std::monostate();
  mode_ = Mode::kContent;
  if (!arguments_began) return;
  open_call_ = true;
  options_.parse_tool_calls = false;
}

std::size_t OutputParser::State::after_call(std::string_view text, bool last) {
  if (const std::size_t n = take_space(text)) return n;
  if (text.empty()) return 0;  // white space at the end of the answer is dropped
  const MarkupMatch end = match_literal(text, kEndCall);
  const MarkupMatch call = match_call(text);
  if (end.yes() || call.yes()) {
    space_.clear();
    if (call.yes()) begin_call();
    return end.yes() ? end.length : call.length;
  }
  if ((end.maybe() || call.maybe()) && !last) return 0;
  if (end.maybe()) {  // the answer ends inside the closing tag
    space_.clear();
    return text.size();
  }
  release_space();
  return 0;
}

// The opening of a tool call up to where XmlCall or JsonCall takes over.
MarkupMatch OutputParser::State::match_call(std::string_view text) const {
  if (!options_.parse_tool_calls) return {};
  if (options_.format == ChatFormat::kQwq) {
    MarkupMatch object = match_spaced(text, kStartCall, "{");
    if (object.yes()) --object.length;  // the brace belongs to the object
    return object;
  }
  const MarkupMatch wrapped = match_spaced(text, kStartCall, "<function");
  if (wrapped.maybe()) return wrapped;
  if (wrapped.yes()) {
    if (text.size() == wrapped.length) return {MarkupMatch::Verdict::kMaybe, 0};
    const char next = text[wrapped.length];
    return next == '=' || next == ' ' ? MarkupMatch{MarkupMatch::Verdict::kYes, wrapped.length + 1} : MarkupMatch{};
  }
  return mode_ == Mode::kReasoning ? MarkupMatch{} : match_bare_call(text);
}

// Models forget <tool_call>; "<function=" alone counts when the name of a tool of the request follows.
MarkupMatch OutputParser::State::match_bare_call(std::string_view text) const {
  const MarkupMatch tag = match_literal(text, kStartFunction);
  if (!tag.yes()) return tag;
  MarkupMatch best;
  for (const std::string& name : tools_.names()) {
    const MarkupMatch one = match_literal(text.substr(tag.length), name + ">");
    if (one.yes()) return tag;
    if (one.maybe()) best = one;
  }
  return best;
}

void OutputParser::State::begin_call() {
  drop_newlines_ = false;
  mode_ = Mode::kCall;
  if (options_.format == ChatFormat::kQwq) {
    call_ = JsonCall();
  } else {
    call_.emplace<XmlCall>(tools_);
  }
}

void OutputParser::State::finish_call(bool truncated) {
  if (auto* xml = std::get_if<XmlCall>(&call_)) {
    if (!truncated) xml->end_of_answer(sink_);
    open_call_ = !xml->done();
  } else if (auto* json = std::get_if<JsonCall>(&call_)) {
    if (!json->is_call()) sink_.content(std::string(kStartCall) + json->raw());
    open_call_ = json->is_open();
  }
}

OutputParser::OutputParser(const ToolSet& tools, OutputParserOptions options)
    : state_(std::make_unique<State>(tools, std::move(options))) {}
OutputParser::OutputParser(OutputParser&&) noexcept = default;
OutputParser& OutputParser::operator=(OutputParser&&) noexcept = default;
OutputParser::~OutputParser() = default;

std::vector<OutputDelta> OutputParser::feed(std::string_view text) {
  return state_->feed(text, false);
}

std::vector<OutputDelta> OutputParser::finish(bool truncated) {
  std::vector<OutputDelta> deltas = state_->feed("", true);
  state_->finish_call(truncated);
  for (OutputDelta& delta : state_->sink_.take()) deltas.push_back(std::move(delta));
  return deltas;
}

int OutputParser::tool_calls() const {
  return state_->sink_.calls();
}

bool OutputParser::has_open_call() const {
  return state_->open_call_;
}

bool OutputParser::in_reasoning() const {
  const bool undecided = state_->mode_ == State::Mode::kStart && state_->options_.starts_in_reasoning;
  return undecided || state_->mode_ == State::Mode::kReasoning;
}

ParsedOutput parse_output(std::string_view text, const ToolSet& tools, OutputParserOptions options, bool truncated) {
  OutputParser parser(tools, std::move(options));
  ParsedOutput out;
  const auto collect = [&out](std::vector<OutputDelta> deltas) {
    for (OutputDelta& delta : deltas) {
      switch (delta.kind) {
        case OutputDelta::Kind::kReasoning:
          out.reasoning += delta.text;
          break;
        case OutputDelta::Kind::kContent:
          out.content += delta.text;
          break;
        case OutputDelta::Kind::kToolCallStart:
          out.tool_calls.push_back({std::move(delta.id), std::move(delta.name), ""});
          break;
        case OutputDelta::Kind::kToolCallArguments:
          out.tool_calls.back().arguments += delta.text;
      }
    }
  };
  collect(parser.feed(text));
  collect(parser.finish(truncated));
  out.has_open_call = parser.has_open_call();
  return out;
}

}  // namespace millrace::engine
