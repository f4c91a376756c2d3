// How many files and connections this process may have open at a time.
#pragma once

namespace millrace::common {

// As many as the system allows: the limit that processes start with is often 1024. Best effort.
void raise_descriptor_limit();

}  // namespace millrace::common
