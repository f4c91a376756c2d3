// Any bytes at all in place of a watch response: no crash, and the same outcome however they are cut into pieces.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "operator/kube/watch_stream.h"

namespace {

using millrace::controller::kube::WatchDecoder;
using millrace::controller::kube::WatchEvent;

struct Outcome {
  std::size_t events = 0;
  std::size_t hash = 0;
  bool failed = false;
  int status = 0;

  bool operator==(const Outcome&) const = default;
};

Outcome decode(std::string_view bytes, std::size_t piece) {
  WatchDecoder decoder(1U << 16);
  Outcome outcome;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    for (const WatchEvent& event : decoder.push(bytes.substr(at, piece))) {
      ++outcome.events;
      const std::size_t part = std::hash<std::string>{}(event.object.name() + event.object.resource_version());
      outcome.hash = outcome.hash * 31 + part + event.object.owners().size() + event.object.labels().size();
    }
  }
  outcome.failed = decoder.error().has_value();
  if (outcome.failed) outcome.status = decoder.error()->status();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = 1 + data[0] % 17;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (decode(bytes, std::max<std::size_t>(bytes.size(), 1)) != decode(bytes, piece)) std::abort();
  return 0;
}
