#!/usr/bin/env bash
# Installs distribution packages on Debian 12 or Ubuntu 24.04, as root or with sudo. Usage: packages.sh build|run|test|check|cluster ...
# Does nothing (and needs no network) when everything asked for is there.
set -euo pipefail

build=(build-essential cmake ninja-build pkg-config ccache mold git ca-certificates
  libboost-dev libboost-system-dev libcpprest-dev prometheus-cpp-dev libyaml-cpp-dev nlohmann-json3-dev libspdlog-dev
  libcli11-dev libjemalloc-dev libpcre2-dev libutf8proc-dev libssl-dev zlib1g-dev curl)
run=(libboost-system1.74.0 libcpprest2.10 libprometheus-cpp-core1.0 libyaml-cpp0.7 libspdlog1.10 libpcre2-8-0 libutf8proc2 libssl3 ca-certificates)
test=(libgtest-dev libgmock-dev libbenchmark-dev python3 python3-venv python3-jinja2 python3-yaml openssl clang-14 libclang-rt-14-dev lld-14 llvm-14)
check=(clang-format-14 clang-tidy-14 shellcheck)
cluster=(containerd runc containernetworking-plugins iptables conntrack iproute2 util-linux gcc)

wanted=()
for set_name in "$@"; do
  case "$set_name" in
    build) wanted+=("${build[@]}") ;;
    run) wanted+=("${run[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    check) wanted+=("${check[@]}") ;;
    cluster) wanted+=("${cluster[@]}") ;;
    *)
      echo "packages.sh: unknown set '$set_name'; use build, run, test, check or cluster" >&2
      exit 2
      ;;
  esac
done

missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "packages: all ${#wanted[@]} present"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "packages.sh: run as root or install sudo; missing: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "packages: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
echo "packages: installed ${#missing[@]}"
