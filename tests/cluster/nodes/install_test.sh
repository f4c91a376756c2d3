#!/usr/bin/env bash
# The product on real nodes: install the chart, apply the example, chat through its Service, `helm test`, upgrade the
# chart under a running deployment, delete. Exit 3 with the reason where the machine does not allow it.
#
#   install_test.sh OPERATOR AGENT   paths of the programs
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../../.." && pwd)
operator=$(realpath "$1")
agent=$(realpath "$2")
system=millrace-system
images=(--set operator.image.repository=localhost/millrace/operator --set agent.image.repository=localhost/millrace/agent)

"$here/nodes.sh" check || exit $?
dir=$(mktemp -d "${TMPDIR:-/tmp}/millrace-nodes.XXXX")
bed() { "$here/nodes.sh" "$1" "$dir" "${@:2}"; }

finish() {
  local status=$?
  if ((status != 0)); then
    bed kubectl get pods,modeldeployments -A -o wide || true
    bed kubectl get events -A --sort-by=.lastTimestamp 2>/dev/null | tail -n 30 || true
    echo "FAILED with $status; logs are in $dir"
  fi
  bed stop
  if ((status == 0)); then rm -rf "$dir"; fi
}
trap finish EXIT

say() { echo "== $*"; }
fail() {
  echo "FAILED: $*"
  exit 1
}

say "three nodes"
bed start
bed kubectl get nodes -L topology.kubernetes.io/zone

say "images"
"$here/images.sh" "$dir" "$operator" "$agent"
for image in operator agent; do bed import "$dir/$image.tar"; done

say "helm install into a namespace that enforces the restricted pod security standard"
bed kubectl create namespace $system
bed kubectl label namespace $system pod-security.kubernetes.io/enforce=restricted
bed helm install millrace "$repository/helm/millrace" --namespace $system "${images[@]}" --wait --timeout 5m >/dev/null
zones=$(bed kubectl get pods -n $system -o 'jsonpath={.items[*].spec.nodeName}' | tr ' ' '\n' | sort -u | wc -l)
((zones == 2)) || fail "the operator's two replicas run on $zones node(s)"

say "kubectl apply -f examples/tiny-moe.yaml"
bed kubectl apply -f "$repository/examples/tiny-moe.yaml"
bed kubectl wait --for=condition=Ready modeldeployment/tiny-moe --timeout=300s
bed kubectl get modeldeployments,pods -o wide

say "chat through the Service, from every node"
service=$(bed kubectl get service tiny-moe -o 'jsonpath={.spec.clusterIP}:{.spec.ports[0].port}')
question='{"model": "tiny-moe", "temperature": 0, "max_tokens": 64,
  "messages": [{"role": "user", "content": "What is 12 + 30?"}]}'
for node in a b c; do # a node's packet filter follows the endpoints within a moment
  answer=$(bed run $node curl -sS --fail --max-time 60 --retry 10 --retry-connrefused --retry-delay 1 -H 'Content-Type: application/json' -d "$question" \
    "http://$service/v1/chat/completions")
  grep -q '"content": *"[^"]*42' <<<"$answer" || fail "from node $node: $answer"
done
echo "$answer"

say "helm test"
bed helm test millrace --namespace $system --timeout 3m

say "helm upgrade under a running deployment"
pods_of_example() { bed kubectl get pods -l millrace.dev/deployment=tiny-moe -o 'jsonpath={.items[*].metadata.uid}'; }
before=$(pods_of_example)
bed helm upgrade millrace "$repository/helm/millrace" --namespace $system "${images[@]}" --set operator.logLevel=debug \
  --wait --timeout 5m >/dev/null
bed kubectl wait --for=condition=Ready modeldeployment/tiny-moe --timeout=120s
[[ $(pods_of_example) == "$before" ]] || fail "pods were replaced: $before is now $(pods_of_example)"

say "delete"
bed kubectl delete modeldeployment tiny-moe --timeout=120s
bed kubectl wait --for=delete pod -l millrace.dev/deployment=tiny-moe --timeout=120s
bed kubectl wait --for=delete service/tiny-moe --timeout=60s
say "PASSED"
