#!/usr/bin/env bash
# Builds the server programs the cluster tests need, once, from Go modules pinned under tests/cluster/tools.
#
#   scripts/cluster-tools.sh            build kube-apiserver, kubectl, etcd, helm and kubeconform; print their folder
#   scripts/cluster-tools.sh --nodes    also what real nodes need: kube-controller-manager, kube-scheduler, kubelet, kube-proxy
#   scripts/cluster-tools.sh --dir      print the folder the programs are (or would be) built into; build nothing
#   scripts/cluster-tools.sh --find X   print the path of program X, or exit 3 when it was never built; build nothing
#
# KUBEBUILDER_ASSETS, when set, names a folder that already has kube-apiserver, etcd and kubectl: those are then used as
# they are and not built. MILLRACE_CACHE moves the cache (default ~/.cache/millrace). MILLRACE_GO names the go to use.
# The path goes to standard output, progress to standard error.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/tests/cluster/tools
cache=${MILLRACE_CACHE:-$HOME/.cache/millrace}
toolchain=1.24.11 # fetched when no Go of at least the go.mod files' version is installed

say() { echo "cluster-tools: $*" >&2; }
die() {
  say "$*"
  exit 1
}

pinned() { sed -n "s|^[[:space:]]*\(require \)\?$2 v\([^ ]*\).*|\2|p" "$tools/$1/go.mod" | head -n 1; }

kubernetes=$(pinned kubernetes k8s.io/kubernetes)
etcd=$(pinned etcd go.etcd.io/etcd/server/v3)
helm=$(pinned helm helm.sh/helm/v3)
kubeconform=$(pinned helm github.com/yannh/kubeconform)
dir=$cache/cluster-tools/kubernetes-$kubernetes-etcd-$etcd-helm-$helm-kubeconform-$kubeconform

# The folder of KUBEBUILDER_ASSETS must have the first three and may have the others.
is_asset() {
  [[ -n ${KUBEBUILDER_ASSETS:-} ]] || return 1
  case $1 in
    kube-apiserver | kubectl | etcd) ;;
    *) [[ -x $KUBEBUILDER_ASSETS/$1 ]] ;;
  esac
}

find_program() {
  local path=$dir/$1
  if is_asset "$1"; then path=$KUBEBUILDER_ASSETS/$1; fi
  [[ -x $path ]] && echo "$path"
}

# True when $1 is a Go of at least version 1.24, the go line of the modules.
modern_go() {
  local version
  version=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null | sed -n 's/^go\([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
  [[ -n $version ]] && ((${version% *} > 1 || ${version#* } >= 24))
}

# Any Go with modules, however old, can fetch a newer one: the module proxy serves the toolchains as ordinary modules,
# verified by the checksum database. Files of modules are not executable, hence the copy and the chmod.
fetch_go() {
  local old=$1 home=$cache/go-$toolchain arch module
  if [[ ! -x $home/bin/go ]]; then
    arch=$("$old" env GOARCH)
    say "fetching Go $toolchain as a module with $("$old" env GOVERSION)"
    module=$(mktemp -d)
    (cd "$module" && env GOFLAGS= GO111MODULE=on GOTOOLCHAIN=local "$old" mod download -json \
      "golang.org/toolchain@v0.0.1-go$toolchain.linux-$arch") >"$module/answer.json" ||
      die "Go $toolchain cannot be fetched: $(tr -d '\n' <"$module/answer.json")"
    rm -rf "$home.new"
    cp -R "$(sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p' "$module/answer.json")" "$home.new"
    chmod -R u+w "$home.new"
    chmod +x "$home.new"/bin/* "$home.new"/pkg/tool/*/*
    mv "$home.new" "$home"
    rm -rf "$module"
  fi
  unset GOROOT # of the old one
  go=$home/bin/go
}

# The distribution's Go, of whatever version: it only has to fetch the other one.
install_go() {
  local as_root=()
  if ((EUID != 0)); then as_root=(sudo -n); fi
  say "no Go found: installing package golang-go"
  { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends golang-go; } >/dev/null ||
    die "no Go can be installed: install one or set KUBEBUILDER_ASSETS; tests that need server programs are skipped"
}

choose_go() {
  local candidate old=
  for candidate in "${MILLRACE_GO:-}" go /usr/local/go/bin/go /usr/lib/go-1.2{6,5,4,3,2,1}/bin/go; do
    candidate=$(command -v "${candidate:-none}") || continue
    if modern_go "$candidate"; then
      go=$candidate
      return
    fi
    old=${old:-$candidate}
  done
  if [[ -z $old ]]; then
    install_go
    old=$(command -v go)
  fi
  if modern_go "$old"; then go=$old; else fetch_go "$old"; fi
}

# build NAME MODULE PACKAGE VERSION LDFLAGS
build() {
  local name=$1 module=$2 package=$3 version=$4 stamps=$5 started=$SECONDS log=$dir/$1.log
  if is_asset "$name" || [[ -x $dir/$name ]]; then return; fi
  choose_go
  say "building $name $version (log: $log)"
  (cd "$tools/$module" && env GOFLAGS=-buildvcs=false GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0 "$go" build -v \
    -p "${MILLRACE_JOBS:-2}" -mod=readonly -trimpath -ldflags "-s -w $stamps" -o "$dir/$name.new" "$package") 2>&1 |
    tee "$log" | awk -v name="$name" '!/downloading/ && ++n % 200 == 0 {
      print "cluster-tools:   " name ": " n " packages compiled"; fflush() }' >&2 ||
    die "$name could not be built: $(tail -n 3 "$log")"
  mv "$dir/$name.new" "$dir/$name"
  say "built $name in $((SECONDS - started)) s"
}

kubernetes_stamps() {
  local variables=(gitVersion="v$kubernetes" gitMajor="${kubernetes%%.*}" gitMinor="$(cut -d. -f2 <<<"$kubernetes")"
    gitCommit=unknown gitTreeState=clean buildDate=1970-01-01T00:00:00Z) package variable
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    for variable in "${variables[@]}"; do printf ' -X %s.%s' "$package" "$variable"; done
  done
}

# Helm reports to charts the Kubernetes version it was linked with.
helm_stamps() {
  local package minor
  minor=$(cut -d. -f2 <<<"$kubernetes")
  printf ' -X helm.sh/helm/v3/internal/version.version=v%s' "$helm"
  for package in lint/rules chartutil; do
    printf ' -X helm.sh/helm/v3/pkg/%s.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/%s.k8sVersionMinor=%s' \
      "$package" "$package" "$minor"
  done
}

build_all() {
  local program programs=(kube-apiserver kubectl)
  if [[ ${1:-} == --nodes ]]; then programs+=(kube-controller-manager kube-scheduler kubelet kube-proxy); fi
  mkdir -p "$dir"
  exec 9>"$dir/.lock"
  flock 9
  build etcd etcd go.etcd.io/etcd/server/v3 "$etcd" ""
  for program in "${programs[@]}"; do
    build "$program" kubernetes "k8s.io/kubernetes/cmd/$program" "$kubernetes" "$(kubernetes_stamps)"
  done
  build helm helm helm.sh/helm/v3/cmd/helm "$helm" "$(helm_stamps)"
  build kubeconform helm github.com/yannh/kubeconform/cmd/kubeconform "$kubeconform" "-X main.version=v$kubeconform"
  for program in "${programs[@]}" etcd; do
    find_program "$program" >/dev/null || die "$program is not in KUBEBUILDER_ASSETS=${KUBEBUILDER_ASSETS:-}"
  done
  echo "$dir"
}

case ${1:-} in
  "" | --nodes) build_all "$@" ;;
  --dir) echo "$dir" ;;
  --find) find_program "${2:?--find needs the name of a program}" || exit 3 ;;
  *) die "unknown argument $1; see the head of this file" ;;
esac
