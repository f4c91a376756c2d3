// The one exception type of Millrace: something ended a unit of work (a request, a reconcile, a start-up).
// Expected outcomes ("nothing available", "queue full") are values, not errors. Caught once per boundary:
// HTTP session, engine step, reconcile, main.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace millrace::common {

enum class Code {
  kInvalidArgument,    // the caller sent something that can never work; the message names field, value and what is
                       // accepted
  kUnauthenticated,    // no or wrong credentials
  kPermissionDenied,   // known caller, not allowed
  kNotFound,           // no such object, file, model or tensor
  kAlreadyExists,      // create of something that is there
  kConflict,           // optimistic concurrency lost; read again and retry
  kGone,               // a resource version or continue token has expired; list again
  kResourceExhausted,  // a bound was reached (queue, memory); retry later
  kUnavailable,        // a peer or server cannot be reached or is going away; retry later
  kDeadlineExceeded,   // a stated time limit passed
  kCancelled,          // the caller went away
  kDataLoss,           // stored bytes are truncated or contradict themselves
  kUnimplemented,      // valid, but not supported here
  kInternal,           // a fault of ours
};

// Stable lower-case name, for example "invalid_argument"; used in logs and metrics.
std::string_view to_string(Code code);

class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Code code() const { return code_; }

 private:
  Code code_;
};

}  // namespace millrace::common
