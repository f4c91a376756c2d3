// From the bytes of a watch response to events: one JSON document per line. Pure; bytes may be cut anywhere.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/kube/client.h"

namespace millrace::controller::kube {

class WatchDecoder {
 public:
  // `max_line`: a longer line is an error; objects are at most 1.5 MiB in etcd, and somewhat longer as JSON.
  explicit WatchDecoder(std::size_t max_line = 16U << 20) : max_line_(max_line) {}

  // The events completed by `bytes`. After an ERROR event or a line that is no event, error() is set and nothing more
  // is decoded.
  std::vector<WatchEvent> push(std::string_view bytes);

  // An ERROR event as the error its Status says (kGone: list again), or kDataLoss for garbage.
  const std::optional<ApiError>& error() const { return error_; }
  bool mid_line() const { return !line_.empty(); }  // the stream ended inside an event if it ended now

 private:
  std::optional<WatchEvent> decode(std::string_view line);

  std::size_t max_line_;
  std::string line_;
  std::optional<ApiError> error_;
};

}  // namespace millrace::controller::kube
