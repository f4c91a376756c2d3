# shellcheck shell=bash
# What the tests on real nodes share: a bed in a folder of its own that goes whatever happens, and the chart on it. To be
# sourced with the paths of the operator's and the agent's program as arguments.

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../../.." && pwd)
operator=$(realpath "$1")
agent=$(realpath "$2")
system=millrace-system
images=(--set operator.image.repository=localhost/millrace/operator --set agent.image.repository=localhost/millrace/agent)

"$here/nodes.sh" check || exit $?
dir=$(mktemp -d "${TMPDIR:-/tmp}/millrace-nodes.XXXX")
bed() { "$here/nodes.sh" "$1" "$dir" "${@:2}"; }

# Of every container, read where its node keeps them: one that is cut off tells nobody.
keep_logs() {
  local node
  for node in a b c; do
    if [[ -d $dir/$node/var/log/pods ]]; then cp -r "$dir/$node/var/log/pods" "$dir/pods-$node"; fi
  done
  echo "what the operators said last:"
  find "$dir" -path '*/pods-?/*millrace-operator*.log' -exec tail -n 20 {} +
}

finish() {
  local status=$?
  rm -f "$dir/load" # clients in the background go on as long as it is there
  if ((status != 0)); then
    bed kubectl get pods,modeldeployments -A -o wide || true
    bed kubectl get events -A --sort-by=.lastTimestamp 2>/dev/null | tail -n 30 || true
    keep_logs || true
    echo "FAILED with $status; logs are in $dir"
  fi
  bed stop
  if ((status == 0)); then rm -rf "$dir"; fi
}
trap finish EXIT

SECONDS=0
say() { echo "== $SECONDS s: $*"; }
fail() {
  echo "FAILED: $*"
  exit 1
}

# until_true WHAT COMMAND...: looks again until it holds, for two minutes.
until_true() {
  local what=$1 end=$((SECONDS + 120))
  shift
  until "$@"; do
    ((SECONDS < end)) || fail "$what: not within two minutes"
    sleep 0.2
  done
}

start_bed() {
  local image
  say "three nodes"
  bed start
  bed kubectl get nodes -L topology.kubernetes.io/zone
  "$here/images.sh" "$dir" "$operator" "$agent"
  for image in operator agent; do bed import "$dir/$image.tar"; done
}

install_chart() {
  say "helm install into a namespace that enforces the restricted pod security standard"
  bed kubectl create namespace $system
  bed kubectl label namespace $system pod-security.kubernetes.io/enforce=restricted
  bed helm install millrace "$repository/helm/millrace" --namespace $system "${images[@]}" --wait --timeout 5m >/dev/null
}

# URL of a deployment's Service, by address: nodes do not ask the cluster's DNS.
service_of() { bed kubectl get service "$1" -o 'jsonpath=http://{.spec.clusterIP}:{.spec.ports[0].port}'; }
