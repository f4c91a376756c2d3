#!/usr/bin/env bash
# From nothing to an answer: installs packages, builds, starts the operator and a group of agents on this machine, asks one
# question. Usage: quickstart.sh [--once] [further flags of `millrace up`]
set -euo pipefail
cd "$(dirname "$0")/.."
# Compilations of one clone serve the next, wherever it lies.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1

phase() { printf '\n==> %s (%s)\n' "$1" "$(date +%T)"; }

phase "packages"
scripts/packages.sh build

phase "build"
cmake --preset release >build-configure.log 2>&1 || { cat build-configure.log; rm -f build-configure.log; exit 1; }
rm -f build-configure.log
cmake --build --preset release --target millrace millrace-agent millrace-operator

phase "start"
exec build/release/bin/millrace up -f examples/tiny-moe.yaml --models-dir examples/models "$@"
