#!/usr/bin/env bash
# What scripts that start Kubernetes servers share: keys, kubeconfigs, processes that end. To be sourced; expects
# `repository`, `dir` (of this cluster), `pki` (below it) and, for kubeconfigs, `server` (URL of the API server).
# shellcheck disable=SC2154

deadline=120 # seconds for each server to answer

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

program() { "$repository/scripts/cluster-tools.sh" --find "$1" || {
  echo "${0##*/}: $1 is absent: run scripts/cluster-tools.sh or set KUBEBUILDER_ASSETS" >&2
  exit 3
}; }

# certificate NAME SUBJECT EXTENSION...: signed by the CA of DIR, or self-signed when it is the CA.
certificate() {
  local name=$1 subject=$2 signer=() extensions=() extension
  shift 2
  if [[ $name != ca ]]; then signer=(-CA "$pki/ca.crt" -CAkey "$pki/ca.key"); fi
  for extension in "$@"; do extensions+=(-addext "$extension"); done
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "$subject" \
    -keyout "$pki/$name.key" -out "$pki/$name.crt" "${signer[@]}" "${extensions[@]}" 2>>"$dir/openssl.log" ||
    die "openssl failed for $name: $(tail -n 2 "$dir/openssl.log")"
}

# kubeconfig FILE USER-YAML-LINES
kubeconfig() {
  cat >"$dir/$1.kubeconfig" <<EOF
apiVersion: v1
kind: Config
current-context: test
clusters:
  - name: test
    cluster:
      server: $server
      certificate-authority-data: $(base64 -w 0 "$pki/ca.crt")
contexts:
  - name: test
    context: {cluster: test, user: $1}
users:
  - name: $1
    user:
$2
EOF
  chmod 600 "$dir/$1.kubeconfig"
}

make_user() {
  local name=$1 subject="" group
  shift
  for group in "$@"; do subject+="/O=$group"; done
  certificate "user-$name" "$subject/CN=$name" basicConstraints=CA:FALSE extendedKeyUsage=clientAuth
  kubeconfig "$name" "      client-certificate-data: $(base64 -w 0 "$pki/user-$name.crt")
      client-key-data: $(base64 -w 0 "$pki/user-$name.key")"
}

# launch NAME COMMAND...: in a session of its own, so that a Ctrl-C for the test leaves the stopping to the test.
launch() {
  local name=$1
  shift
  setsid "$@" >>"$dir/$name.log" 2>&1 </dev/null &
  echo $! >"$dir/$name.pid"
}

# The pid of server NAME while it lives. Its command line names DIR, so a reused pid is never taken for it.
alive() {
  local pid
  pid=$(cat "$dir/$1.pid" 2>/dev/null) || return 1
  tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "${dir##*/}" && echo "$pid"
}

# wait_for NAME URL CURL-ARGUMENTS...
wait_for() {
  local name=$1 url=$2 end=$((SECONDS + deadline)) gone=0 code
  shift 2
  until code=$(curl -s --max-time 5 -o /dev/null -w '%{http_code}' "$@" "$url") && [[ $code == 200 ]]; do
    # A process that is busy may show no command line for a moment.
    if alive "$name" >/dev/null; then gone=0; else gone=$((gone + 1)); fi
    if ((gone == 5 || SECONDS >= end)); then
      echo "$name: $url says '$code'; $gone looks in a row did not find its process" >&2
      return 1
    fi
    sleep 0.1
  done
}

stop_server() {
  local pid end=$((SECONDS + $2))
  pid=$(alive "$1") || return 0
  kill "$pid"
  while alive "$1" >/dev/null && ((SECONDS < end)); do sleep 0.1; done
  if alive "$1" >/dev/null; then kill -9 "$pid"; fi
  while alive "$1" >/dev/null; do sleep 0.05; done
}

