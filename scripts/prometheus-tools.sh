#!/usr/bin/env bash
# Unpacks prometheus and promtool of the distribution's package into the cache: installing it would start a server.
#
#   scripts/prometheus-tools.sh            fetch and unpack, once; print the folder of the programs
#   scripts/prometheus-tools.sh --find X   print the path of program X, or exit 3 when it was never unpacked
#
# MILLRACE_CACHE moves the cache (default ~/.cache/millrace). Programs that are installed are used as they are.
set -euo pipefail

cache=${MILLRACE_CACHE:-$HOME/.cache/millrace}/prometheus
bin=$cache/root/usr/bin

find_program() {
  command -v "$1" || { [[ -x $bin/$1 ]] && echo "$bin/$1"; }
}

# A machine that never fetched the lists of packages, an image for example, does so now.
download() {
  local as_root=()
  apt-get download -qq prometheus && return
  if ((EUID != 0)); then as_root=(sudo -n); fi
  "${as_root[@]}" apt-get update -qq
  apt-get download -qq prometheus
}

fetch() {
  local new
  mkdir -p "$cache"
  exec 9>"$cache/.lock"
  flock 9
  if find_program prometheus >/dev/null && find_program promtool >/dev/null; then return; fi
  new=$(mktemp -d "$cache/new.XXXXXX")
  echo "prometheus-tools: fetching the package prometheus" >&2
  (cd "$new" && download) >&2
  dpkg-deb -x "$new"/prometheus_*.deb "$new/root"
  rm -rf "$cache/root"
  mv "$new/root" "$cache/root"
  rm -rf "$new"
}

case ${1:-} in
  "")
    fetch
    dirname "$(find_program promtool)"
    ;;
  --find) find_program "${2:?--find needs the name of a program}" || exit 3 ;;
  *)
    echo "prometheus-tools: unknown argument $1; see the head of this file" >&2
    exit 2
    ;;
esac
