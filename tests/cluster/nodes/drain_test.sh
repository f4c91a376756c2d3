#!/usr/bin/env bash
# What comes over real nodes while clients hold long streams: the API server cannot be reached for half a minute, a node
# is drained, a node is about to be taken away. No stream is cut, no group moves without need. Exit 3 with the reason where
# the machine does not allow it.
#
#   drain_test.sh OPERATOR AGENT   paths of the programs
set -euo pipefail
# shellcheck source=tests/cluster/nodes/bed.sh
source "$(dirname "$0")/bed.sh"

start_bed
install_chart

say "three groups of one pod, one in each zone, and clients that hold streams"
# A limit on their processors: nodes need some, too.
sed 's/replicas: 1/replicas: 3/; s/tensor: 2/tensor: 1/; s/expert: 2/expert: 1/; s/timeoutSeconds: 30/timeoutSeconds: 120/
  s/cpu: 500m/cpu: 300m/; s/memory: 1Gi/memory: 1Gi\n      cpu: 500m/' "$repository/examples/tiny-moe.yaml" |
  bed kubectl apply -f -
bed kubectl wait --for=condition=Ready modeldeployment/tiny-moe --timeout=300s
labels=millrace.dev/deployment=tiny-moe
tokens=400
touch "$dir/load"
bed run c python3 "$here/streams.py" "$(service_of tiny-moe)" tiny-moe 4 $tokens "$dir/load" "$dir/streams" &
clients=$!
# A line for each pod: name, node, uid, restarts, and since when it is (not) ready.
columns='{.metadata.name} {.spec.nodeName} {.metadata.uid} {.status.containerStatuses[0].restartCount}'
columns+=' {.status.conditions[?(@.type=="Ready")].lastTransitionTime}'
pods() { bed kubectl get pods -l $labels -o "jsonpath={range .items[*]}$columns{\"\\n\"}{end}"; }
status() { bed kubectl get modeldeployment tiny-moe -o "jsonpath={.status.$1}"; }
zones() { status "zoneStates[*]['name', 'state', 'since']"; }
routable() { [[ $(status routableReplicas) == "$1" ]]; }
ended() { grep -c . "$dir/streams" || true; }
ten_ended() { (($(ended) >= 10)); }
pods_on() { bed kubectl get pods -l $labels --field-selector "spec.nodeName=$1" -o name; }
empty() { [[ -z $(pods_on "$1") ]]; }
none_failed() { ! grep -v ' ok$' "$dir/streams" || fail "streams failed"; }
until_true "streams that end well" test -s "$dir/streams"

say "nobody reaches the API server for 30 s"
before=$(pods)
zones_before=$(zones)
bed cut api
sleep 30 # this long is what is tested
bed heal api
healed=$SECONDS
bed kubectl patch modeldeployment tiny-moe --type=merge -p '{"spec": {"endpoint": {"serviceType": "NodePort"}}}'
is_node_port() { [[ $(bed kubectl get service tiny-moe -o 'jsonpath={.spec.type}') == NodePort ]]; }
until_true "a Service of the type that is asked for" is_node_port
echo "an edit was followed $((SECONDS - healed)) s after the API server was back"
((SECONDS - healed <= 10)) || fail "too late"
[[ $(pods) == "$before" ]] || fail "groups moved or went out of traffic: $before became $(pods)"
[[ $(zones) == "$zones_before" ]] || fail "zones were doubted: $zones_before became $(zones)"
none_failed

# A kube-proxy asks an API server that was away again after up to half a minute. Until then it hears of no pod that
# leaves, and nobody could tell its clients.
bed kubectl apply -f - <<EOF
{apiVersion: v1, kind: Service, metadata: {name: known-to-proxies}, spec: {ports: [{name: http, port: 80}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: known-to-proxies, labels: {kubernetes.io/service-name: known-to-proxies}}
addressType: IPv4
ports: [{name: http, port: 80}]
endpoints: [{addresses: [192.0.2.1]}]
EOF
proxies_follow() {
  local node
  for node in a b c; do bed run $node iptables-save -t nat | grep -F 192.0.2.1 >/dev/null || return 1; done
}
until_true "kube-proxies that follow the API server again" proxies_follow

say "kubectl drain of the node of a group"
node=$(pods | awk 'NR == 1 { print $2 }') # of all lines: a head that ends early would break the pipe
bed kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --timeout=120s >"$dir/drain" 2>&1 &
drain=$!
fewest=3
while kill -0 $drain 2>/dev/null; do
  now=$(status routableReplicas)
  ((now >= fewest)) || fewest=$now
  sleep 0.2
done
wait $drain || fail "the drain failed: $(cat "$dir/drain")"
cut -c 1-160 "$dir/drain" | uniq
empty "$node" || fail "pods are left on node $node: $(pods_on "$node")"
((fewest == 3)) || fail "only $fewest groups served meanwhile"
routable 3 || fail "$(status routableReplicas) groups serve"
none_failed
bed kubectl uncordon "$node"

say "a notice that another node is about to be taken away"
node=$(pods | tail -n 1 | cut -d ' ' -f 2)
bed kubectl taint node "$node" aws-node-termination-handler/spot-itn=soon:NoSchedule
told=$SECONDS
until_true "a node without groups" empty "$node"
echo "node $node had no group $((SECONDS - told)) s after the notice"
until_true "three groups that serve" routable 3
bed kubectl taint node "$node" aws-node-termination-handler/spot-itn-

until_true "ten streams" ten_ended
rm "$dir/load"
wait $clients || { none_failed; fail "the clients failed"; }
awk '{ if ($2 - $1 > longest) longest = $2 - $1 } END { print NR " streams, none cut; the longest took " longest " s" }' "$dir/streams"
say "PASSED"
