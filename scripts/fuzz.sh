#!/usr/bin/env bash
# Builds the libFuzzer targets with clang and runs each for a bounded time. One line per target; exit status 1 if one
# crashes, leaks, hangs or runs out of memory; the input is then under build/fuzz/findings.
# usage: scripts/fuzz.sh [seconds per target, default 10] [target ...]
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${1:-10}"
shift || true
if ! [[ "$seconds" =~ ^[1-9][0-9]*$ ]]; then
  echo "fuzz.sh: seconds per target is '$seconds'; accepted: a positive number" >&2
  exit 2
fi
clang="${CLANGXX:-$(command -v clang++-14 || command -v clang++ || true)}"
if [ -z "$clang" ]; then
  echo "fuzz.sh: no clang++ found; install clang-14 or set CLANGXX" >&2
  exit 2
fi

build="${MILLRACE_FUZZ_BUILD:-build/fuzz}"
mkdir -p "$build"
cmake -G Ninja -S . -B "$build" -DCMAKE_CXX_COMPILER="$clang" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -DMILLRACE_BUILD_FUZZERS=ON -DMILLRACE_BUILD_TESTS=OFF -DMILLRACE_BUILD_BENCH=OFF \
  > "$build/configure.log" 2>&1 || { cat "$build/configure.log" >&2; exit 1; }
cmake --build "$build" --target millrace_fuzzers > "$build/build.log" 2>&1 || { tail -50 "$build/build.log" >&2; exit 1; }

findings="$build/findings"
mkdir -p "$findings"
failed=0

# Runs one target and prints its line.
fuzz() {
  local program="$1" name="$2" started=$SECONDS
  local log="$findings/$name.log" corpus="$build/corpus/$name" seeds="tests/fuzz/corpus/$name" dict="tests/fuzz/$name.dict"
  local options=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$findings/$name-")
  [ -f "$dict" ] && options+=(-dict="$dict")
  mkdir -p "$corpus"
  [ -d "$seeds" ] || seeds=""
  if "$program" "${options[@]}" "$corpus" ${seeds:+"$seeds"} > "$log" 2>&1; then
    echo "$name: ok, $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $((SECONDS - started)) s"
  else
    failed=1
    echo "$name: FAILED, $(sed -n 's/.*Test unit written to //p' "$log" | tail -1), report in $log"
  fi
}

for program in "$build"/tests/fuzz/fuzz_*; do
  if [ ! -f "$program" ] || [ ! -x "$program" ]; then continue; fi
  name="$(basename "$program")"
  name="${name#fuzz_}"
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  fuzz "$program" "$name"
done
exit "$failed"
