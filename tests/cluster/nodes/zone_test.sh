#!/usr/bin/env bash
# A zone is cut off under load on real nodes, and comes back: requests go to the other zones, its group is replaced
# there, nothing waits for pods that cannot answer. Twice: a zone without the operator's leader, then the leader's own.
# Before that only the operator cannot reach a zone's agents, and no group moves.
# Exit 3 with the reason where the machine does not allow it.
#
#   zone_test.sh OPERATOR AGENT   paths of the programs
set -euo pipefail
# shellcheck source=tests/cluster/nodes/bed.sh
source "$(dirname "$0")/bed.sh"

start_bed
install_chart

say "three groups of one pod, one in each zone"
sed 's/replicas: 1/replicas: 3/; s/tensor: 2/tensor: 1/; s/expert: 2/expert: 1/' "$repository/examples/tiny-moe.yaml" |
  bed kubectl apply -f -
bed kubectl wait --for=condition=Ready modeldeployment/tiny-moe --timeout=300s
nodes_of_pods() { bed kubectl get pods -l millrace.dev/deployment=tiny-moe -o 'jsonpath={.items[*].spec.nodeName}'; }
[[ $(nodes_of_pods | tr ' ' '\n' | sort | tr -d '\n') == abc ]] || fail "groups are on nodes $(nodes_of_pods)"
service=$(service_of tiny-moe)

rate=20 # requests a second
now() { date +%s.%2N; }
since_cut() { awk -v from="$cut_at" -v to="${1:-$(now)}" 'BEGIN { printf "%.1f", to - from }'; }
at_most() { awk -v value="$1" -v limit="$2" 'BEGIN { exit !(value <= limit) }'; }
on_other_nodes() { (($(nodes_of_pods | tr ' ' '\n' | grep -c "[^$cut]") >= 3)); }
routable() { [[ $(bed kubectl get modeldeployment tiny-moe -o 'jsonpath={.status.routableReplicas}') == "$1" ]]; }
zone_is() {
  [[ $(bed kubectl get modeldeployment tiny-moe -o "jsonpath={.status.zoneStates[?(@.name=='zone-$1')].state}") == "$2" ]]
}
pods() { bed kubectl get pods -l millrace.dev/deployment=tiny-moe -o 'jsonpath={.items[*].metadata.uid}'; }
none_on_cut() { [[ $(nodes_of_pods) != *$cut* ]]; }
# The node of the operator that leads: its pod's name begins the name of the Lease's holder.
node_of_leader() {
  local holder
  holder=$(bed kubectl get lease -n $system millrace-operator -o 'jsonpath={.spec.holderIdentity}')
  bed kubectl get pod -n $system "${holder%_*}" -o 'jsonpath={.spec.nodeName}'
}
# Requests of the load that began after $served_at.
served_long() { (($(awk -v from="$served_at" '$1 > from' "$dir/requests" | wc -l) >= 5 * rate)); }

# load_from NODE: clients there send requests, until load_ends.
load_from() {
  touch "$dir/load"
  rm -f "$dir/requests"
  bed run "$1" python3 "$here/requests.py" "$service/v1/models" $rate "$dir/load" "$dir/requests" &
  clients=$!
  until_true "requests that are answered" grep -qs ' 200$' "$dir/requests"
}
load_ends() {
  rm "$dir/load"
  wait "$clients"
}

# cut_off NODE CLIENT: NODE's zone is cut off while clients on node CLIENT send requests.
cut_off() {
  local created failures slowest
  cut=$1
  load_from "$2"
  bed cut "$cut"
  cut_at=$(now)
  until_true "a replacement in another zone" on_other_nodes
  created=$(since_cut)
  until_true "three groups that serve" routable 3
  served_at=$(now)
  until_true "requests for five seconds more" served_long
  load_ends
  failures=$(awk '$3 != 200' "$dir/requests" | sort -n | cut -d ' ' -f 1)
  slowest=$(awk '$3 == 200 && $2 > slowest { slowest = $2 } END { printf "%.2f", slowest }' "$dir/requests")
  echo "a replacement after $created s; three groups serve after $(since_cut "$served_at") s;" \
    "$(grep -c . <<<"$failures") of $(wc -l <"$dir/requests") requests failed, the last of them began after" \
    "$(since_cut "$(tail -n 1 <<<"${failures:-$cut_at}")") s; the slowest of the others took $slowest s"
  at_most "$(since_cut "$(tail -n 1 <<<"${failures:-$cut_at}")")" 5 || {
    bed run "$2" conntrack -L -p tcp >"$dir/connections" 2>&1 || true # where those that failed were sent
    bed kubectl get endpointslices -o yaml >"$dir/endpointslices"
    fail "requests failed for more than 5 s"
  }
  at_most "$created" 10 || fail "no replacement within 10 s"
}

# The zone that was cut off comes back, and what was left there goes.
heal() {
  bed heal "$cut"
  until_true "node $cut is ready" bed kubectl wait --for=condition=Ready "node/$cut" --timeout=5s
  until_true "pods that could not answer are gone" none_on_cut
  bed kubectl wait --for=condition=Ready modeldeployment/tiny-moe --timeout=120s
}

bed kubectl get pods -n $system -o wide
leader=$(node_of_leader)
read -ra others < <(tr -d "$leader" <<<"a b c")
say "only the operator, in $leader, cannot reach the agent in ${others[0]}, for 20 s"
before=$(pods)
load_from "$leader"
bed cut "admin-${others[0]}"
until_true "a zone in doubt" zone_is "${others[0]}" Suspect
until_true "its group out of traffic" routable 2
sleep 17 # this long is what is tested: longer than it takes to replace the groups of a zone that is cut off
zone_is "${others[0]}" Suspect || fail "kubelets answer, and yet the zone is not Suspect any more"
[[ $(pods) == "$before" ]] || fail "groups moved: $before became $(pods)"
bed heal "admin-${others[0]}"
until_true "a zone that is well" zone_is "${others[0]}" Healthy
until_true "its group in traffic" routable 3
load_ends
awk '$3 != 200 { exit 1 }' "$dir/requests" || fail "requests failed: $(awk '$3 != 200' "$dir/requests" | head -n 3)"

say "zone ${others[0]} is cut off; the operator's leader is in $leader"
cut_off "${others[0]}" "$leader"
say "zone ${others[0]} comes back"
heal

leader=$(node_of_leader)
say "zone $leader is cut off, with the operator's leader"
[[ $(nodes_of_pods) == *$leader* ]] || fail "no group is in the leader's zone"
cut_off "$leader" "${others[1]}"
say "zone $leader comes back"
heal
say "PASSED"
