#include "common/hash.h"

namespace millrace::common {
namespace {

// Vectors of the authors' test suite; random weights and revision names rest on them.
static_assert(fnv1a("") == 0xcbf29ce484222325U);
static_assert(fnv1a("a") == 0xaf63dc4c8601ec8cU);
static_assert(fnv1a("foobar") == 0x85944171f73967e8U);
static_assert(fnv1a("\xff") == 0xaf64724c8602eb6eU);

}  // namespace
}  // namespace millrace::common
