#!/usr/bin/env bash
# A zone is cut off under load on real nodes, and comes back: requests go to the other zones, its group is replaced
# there, nothing waits for pods that cannot answer. Prints how long requests failed. Exit 3 with the reason where the
# machine does not allow it.
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

# New connections from zone a, five a second, each with two seconds; a line for each: seconds since the cut, status.
requests() {
  while [[ -e $dir/load ]]; do
    echo "$((SECONDS - cut_at)) $(bed run a curl -s -o /dev/null -m 2 -w '%{http_code}' "$service/v1/models" || true)"
    sleep 0.2
  done >"$dir/requests"
}
on_other_nodes() { (($(nodes_of_pods | tr ' ' '\n' | grep -c '[ac]') >= 3)); }
routable() { [[ $(bed kubectl get modeldeployment tiny-moe -o 'jsonpath={.status.routableReplicas}') == "$1" ]]; }
forty_more() { (($(awk -v served="$served_at" '$1 >= served' "$dir/requests" | wc -l) >= 40)); }
nothing_on_b() { [[ $(nodes_of_pods) != *b* ]]; }

say "zone b is cut off"
touch "$dir/load"
cut_at=$SECONDS
bed cut b
requests &
until_true "a replacement in another zone" on_other_nodes
echo "replacement created $((SECONDS - cut_at)) s after the cut"
until_true "three groups that serve" routable 3
served_at=$((SECONDS - cut_at))
echo "three groups serve $served_at s after the cut"
until_true "forty more requests" forty_more
rm "$dir/load"
wait
awk '$2 != 200 { if (!n++) first = $1; last = $1 } END { print NR " requests, " n + 0 " failed, the last of them " last + 0 " s after the cut" }' \
  "$dir/requests"
late=$(awk -v served="$served_at" '$1 > served + 5 && $2 != 200' "$dir/requests" | wc -l)
((late == 0)) || fail "$late requests failed after three groups served again"

say "zone b comes back"
bed heal b
until_true "node b is ready" bed kubectl wait --for=condition=Ready node/b --timeout=5s
until_true "pods that could not answer are gone" nothing_on_b
bed kubectl wait --for=condition=Ready modeldeployment/tiny-moe --timeout=120s
say "PASSED"
