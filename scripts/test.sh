#!/usr/bin/env bash
# Installs what the tests need, builds, runs all tests, prints CTest's summary.
# --fast leaves out fuzzing and what needs Kubernetes server binaries.
set -euo pipefail
cd "$(dirname "$0")/.."
# Compilations of one clone serve the next, wherever it lies.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1

fast=0
for argument in "$@"; do
  case "$argument" in
    --fast) fast=1 ;;
    *)
      echo "test.sh: unknown argument '$argument'; the only one is --fast" >&2
      exit 2
      ;;
  esac
done

phase() { printf '\n==> %s (%s)\n' "$1" "$(date +%T)"; }

phase "packages"
scripts/packages.sh build test

phase "Python packages for the client tests"
scripts/test-venv.sh

phase "Prometheus"
scripts/prometheus-tools.sh || echo "prometheus-tools: not available; the tests of alerts and dashboards will be skipped"

if [ "$fast" -eq 0 ]; then
  # Another packaging of containerd, a container engine's own for example, is not replaced.
  command -v containerd >/dev/null || scripts/packages.sh cluster || echo "packages: no real nodes; their test will be skipped"

  # Beside the build: linking and downloading leave a core without work.
  phase "Kubernetes server binaries, in the background"
  setsid scripts/cluster-tools.sh --nodes >/dev/null &
  server_binaries=$!
  trap 'kill -- "-$server_binaries"' EXIT
fi

phase "build"
cmake --preset cpu
cmake --build --preset cpu

if [ "$fast" -eq 0 ]; then
  phase "fuzz"
  scripts/fuzz.sh "${MILLRACE_FUZZ_SECONDS:-5}"

  phase "Kubernetes server binaries"
  wait "$server_binaries" || echo "cluster-tools: not available; the tests that need them will be skipped"
  trap - EXIT
fi

phase "test"
# Two at a time, whatever the machine: tests of time-outs and of speed would suffer from more.
ctest=(ctest --preset cpu --parallel 2)
if [ "$fast" -eq 1 ]; then ctest+=(--label-exclude cluster); fi
status=0
"${ctest[@]}" || status=$?
if [ "$status" -ne 0 ]; then
  phase "what the tests that failed said"
  grep -hE -A 3 '^FAILED|: Failure$' build/cpu/Testing/Temporary/LastTest.log || true
fi
exit "$status"
