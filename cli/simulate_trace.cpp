#include "cli/simulate_trace.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <sstream>

#include "common/error.h"
#include "common/file.h"
#include "common/text.h"

namespace millrace::cli {
namespace {

using common::Code;
using common::Error;
using common::trimmed;

constexpr double kLongest = 7 * 24 * 3600;

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream stream(line);
  for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(trimmed(cell));
  return cells;
}

class TraceParser {
 public:
  explicit TraceParser(const std::string& name) : name_(name) {
    trace_.autoscaling.max_replicas = 32;
    trace_.autoscaling.targets.first_token_p95 = 1.0;
    trace_.autoscaling.targets.inter_token_p95 = 0.075;
  }

  LoadTrace parse(const std::string& text) {
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
      ++line_;
      line = trimmed(line);
      if (line.empty()) continue;
      if (line.front() == '#') {
        read_property(line.substr(1));
      } else if (columns_.empty()) {
        read_heading(line);
      } else {
        read_row(line);
      }
    }
    if (trace_.rows.size() < 2) fail("has " + std::to_string(trace_.rows.size()) + " rows: a trace needs at least 2");
    if (const std::string fault = controller::fault_of(trace_.autoscaling); !fault.empty()) fail(fault);
    return std::move(trace_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(Code::kInvalidArgument, name_ + " line " + std::to_string(line_) + ": " + what);
  }

  double number(const std::string& text, const std::string& what, double min, double max) const {
    double value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc() || end != text.data() + text.size() || !(value >= min && value <= max)) {
      std::ostringstream message;
      message << what << " is \"" << text << "\": use a number from " << min << " to " << max;
      fail(message.str());
    }
    return value;
  }

  // A comment without a known key is just a comment.
  void read_property(const std::string& line) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) return;
    const std::string key = trimmed(line.substr(0, colon));
    const std::string value = trimmed(line.substr(colon + 1));
    ServiceModel& service = trace_.service;
    controller::AutoscalingSpec& spec = trace_.autoscaling;
    const std::map<std::string, std::function<void()>> properties{
        {"slots", [&] { service.slots = number(value, key, 1, 4096); }},
        {"queue", [&] { service.queue = number(value, key, 0, 1e6); }},
        {"kv_tokens", [&] { service.kv_tokens = number(value, key, 1, 1e9); }},
        {"prefill_tokens_per_second", [&] { service.prefill_tokens_per_second = number(value, key, 1, 1e9); }},
        {"chunk_tokens", [&] { service.chunk_tokens = number(value, key, 1, 1e6); }},
        {"decode_base_ms", [&] { service.decode_base_ms = number(value, key, 0.001, 1e5); }},
        {"decode_per_sequence_ms", [&] { service.decode_per_sequence_ms = number(value, key, 0, 1e5); }},
        {"start_up_seconds", [&] { service.start_up_seconds = number(value, key, 0, 3600); }},
        {"min_replicas", [&] { spec.min_replicas = static_cast<int>(number(value, key, 1, 1000)); }},
        {"max_replicas", [&] { spec.max_replicas = static_cast<int>(number(value, key, 1, 1000)); }},
        {"start_replicas", [&] { trace_.start_replicas = static_cast<int>(number(value, key, 1, 1000)); }},
        {"first_token_p95_ms", [&] { spec.targets.first_token_p95 = number(value, key, 1, 1e6) / 1000; }},
        {"inter_token_p95_ms", [&] { spec.targets.inter_token_p95 = number(value, key, 1, 1e6) / 1000; }},
    };
    if (const auto property = properties.find(key); property != properties.end()) property->second();
  }

  void read_heading(const std::string& line) {
    columns_ = cells_of(line);
    for (const char* needed : {"second", "requests_per_second"}) {
      if (std::find(columns_.begin(), columns_.end(), needed) == columns_.end()) {
        fail(std::string("the heading has no column ") + needed);
      }
    }
  }

  void read_row(const std::string& line) {
    const std::vector<std::string> cells = cells_of(line);
    if (cells.size() != columns_.size()) {
      fail("has " + std::to_string(cells.size()) + " values; the heading has " + std::to_string(columns_.size()));
    }
    TraceRow row;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string& column = columns_[i];
      if (column == "second") row.second = number(cells[i], column, 0, kLongest);
      if (column == "requests_per_second") row.requests_per_second = number(cells[i], column, 0, 10'000);
      if (column == "prompt_tokens") row.prompt_tokens = number(cells[i], column, 1, 1e6);
      if (column == "output_tokens") row.output_tokens = number(cells[i], column, 1, 1e6);
    }
    if (!trace_.rows.empty() && row.second <= trace_.rows.back().second) {
      fail("second is not greater than in the row before");
    }
    if (trace_.rows.empty() && row.second != 0) fail("the first row must begin at second 0");
    trace_.rows.push_back(row);
  }

  const std::string name_;
  int line_ = 0;
  std::vector<std::string> columns_;
  LoadTrace trace_;
};

}  // namespace

const TraceRow& LoadTrace::at(double second) const {
  const auto next = std::upper_bound(rows.begin(), rows.end(), second,
                                     [](double value, const TraceRow& row) { return value < row.second; });
  return next == rows.begin() ? rows.front() : *(next - 1);
}

LoadTrace parse_trace(const std::string& text, const std::string& name) {
  return TraceParser(name).parse(text);
}

LoadTrace read_trace(const std::filesystem::path& file) {
  return parse_trace(common::read_file(file, "load trace"), file.filename().string());
}

}  // namespace millrace::cli
