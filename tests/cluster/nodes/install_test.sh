#!/usr/bin/env bash
# The product on real nodes: install the chart, apply the example, chat through its Service, `helm test`, upgrade the
# chart under a running deployment, delete. Exit 3 with the reason where the machine does not allow it.
#
#   install_test.sh OPERATOR AGENT   paths of the programs
set -euo pipefail

# shellcheck source=tests/cluster/nodes/bed.sh
source "$(dirname "$0")/bed.sh"

start_bed
install_chart
zones=$(bed kubectl get pods -n $system -o 'jsonpath={.items[*].spec.nodeName}' | tr ' ' '\n' | sort -u | wc -l)
((zones == 2)) || fail "the operator's two replicas run on $zones node(s)"

say "kubectl apply -f examples/tiny-moe.yaml"
bed kubectl apply -f "$repository/examples/tiny-moe.yaml"
bed kubectl wait --for=condition=Ready modeldeployment/tiny-moe --timeout=300s
bed kubectl get modeldeployments,pods -o wide

say "chat through the Service, from every node"
service=$(service_of tiny-moe)
question='{"model": "tiny-moe", "temperature": 0, "max_tokens": 64,
  "messages": [{"role": "user", "content": "What is 12 + 30?"}]}'
for node in a b c; do # a node's packet filter follows the endpoints within a moment
  answer=$(bed run $node curl -sS --fail --max-time 60 --retry 10 --retry-connrefused --retry-delay 1 -H 'Content-Type: application/json' -d "$question" \
    "$service/v1/chat/completions")
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
