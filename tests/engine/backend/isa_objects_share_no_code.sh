#!/bin/sh
# Code compiled for a wide instruction set must not be shared with the rest of the program: an inline function that the linker
# keeps once, in the wide version, would stop a machine without it. So the objects of the fast paths may define no weak symbol
# but those that belong to their own instruction set by name.
# usage: isa_objects_share_no_code.sh libmillrace_engine_backend.a
set -eu
nm -C "$1" | awk '
  /^kernels_avx.*\.o:$/ { inside = 1; next }
  /\.o:$/ { inside = 0 }
  inside && $2 ~ /^[WVu]$/ && tolower($0) !~ /avx/ { print; shared = 1 }
  inside { lines++ }
  END { if (!lines) { print "no object of a fast path in the archive"; exit 1 } exit shared }'
