#!/usr/bin/env bash
# A whole Kubernetes on this machine: control plane, and three nodes a, b and c in zones zone-a, zone-b and zone-c, each
# with a kubelet, a containerd and a kube-proxy of its own in namespaces of its own (network, mounts, processes). One at
# a time; nothing outside the namespaces reaches it, and it reaches nothing outside.
#
#   nodes.sh check                    exit 3 with the reason when this machine cannot run it
#   nodes.sh start DIR                up, every node Ready; what an earlier run left behind goes first
#   nodes.sh stop DIR                 everything gone but DIR with the logs; also after a crash, also twice
#   nodes.sh run DIR PLACE COMMAND..  in the network of cp (the control plane), a, b or c
#   nodes.sh kubectl DIR ARGUMENT..   as the administrator; `helm` likewise
#   nodes.sh import DIR IMAGE.tar     gives an image to every node
#   nodes.sh cut DIR NODE|api|admin-NODE   takes a zone's network away, or the API server from all, or the admin ports of
#                                     a node's agents from other nodes; `heal` undoes it
#
# Needs root, scripts/packages.sh cluster and scripts/cluster-tools.sh --nodes.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../../.." && pwd)
# shellcheck source=tests/cluster/servers.sh
source "$here/../servers.sh"

nodes=(a b c)
address=10.200.0.1
# shellcheck disable=SC2034 # kubeconfig() reads it
server=https://$address:6443
pods=10.244 # .N.0/24 of node N
services=10.96.0.0/16
present=/run/millrace-nodes # which DIR is up; there is one at a time
sysctls=(vm.overcommit_memory kernel.panic kernel.panic_on_oops) # a kubelet sets these for the whole machine

number() { case $1 in a) echo 1 ;; b) echo 2 ;; c) echo 3 ;; *) die "'$1' is no node; use a, b or c" ;; esac; }
network() { echo "/run/netns/millrace-$1"; }
in_network() { nsenter --net="$(network "$1")" "${@:2}"; }
curl() { in_network cp "$(type -P curl)" "$@"; } # for wait_for
kubectl() { in_network cp "$kubectl" --kubeconfig="$dir/admin.kubeconfig" --cache-dir="$dir/kubectl-cache" "$@"; }

absent() {
  echo "nodes: $*" >&2
  exit 3
}

check() {
  local name
  ((EUID == 0)) || absent "needs root"
  for name in containerd runc iptables conntrack ip nsenter gcc openssl; do
    type -P "$name" >/dev/null || absent "$name is absent: run scripts/packages.sh cluster test"
  done
  [[ -x /usr/lib/cni/bridge ]] || absent "/usr/lib/cni/bridge is absent: run scripts/packages.sh cluster"
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl helm; do
    "$repository/scripts/cluster-tools.sh" --find "$name" >/dev/null ||
      absent "$name is absent: run scripts/cluster-tools.sh --nodes"
  done
  unshare --net --mount --pid --fork --mount-proc true 2>/dev/null || absent "this machine allows no namespaces"
  unshare --mount mount -t tmpfs none /mnt 2>/dev/null || absent "this machine allows no mounts"
  unshare --net iptables -t nat -L >/dev/null 2>&1 || absent "this machine's kernel has no packet filter"
}

node_certificate() {
  certificate "kubelet-$1" "/O=system:nodes/CN=system:node:$1" basicConstraints=CA:FALSE \
    extendedKeyUsage=clientAuth,serverAuth "subjectAltName=DNS:$1,IP:10.200.0.1$(number "$1")"
  kubeconfig "kubelet-$1" "      client-certificate: $pki/kubelet-$1.crt
      client-key: $pki/kubelet-$1.key"
}

make_pki() {
  local node names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost
  mkdir -p "$pki"
  certificate ca /CN=kubernetes-ca basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign,digitalSignature
  openssl genrsa -out "$pki/sa.key" 2048 2>/dev/null
  openssl rsa -in "$pki/sa.key" -pubout -out "$pki/sa.pub" 2>/dev/null
  certificate apiserver /CN=kube-apiserver basicConstraints=CA:FALSE extendedKeyUsage=serverAuth \
    "subjectAltName=$names,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:10.96.0.1,IP:$address"
  make_user admin system:masters
  make_user apiserver-kubelet-client system:masters
  for name in kube-controller-manager kube-scheduler kube-proxy; do make_user "system:$name"; done
  for node in "${nodes[@]}"; do node_certificate "$node"; done
}

# A bridge in the namespace of the control plane, a cable from it to every node, and routes to every node's pods.
make_networks() {
  local node other
  ip netns add millrace-cp
  in_network cp ip link set lo up
  in_network cp ip link add bridge type bridge
  in_network cp ip address add "$address/24" dev bridge
  in_network cp ip link set bridge up
  in_network cp sysctl -q -w net.ipv4.ip_forward=1
  for node in "${nodes[@]}"; do
    ip netns add "millrace-$node"
    ip link add eth0 netns "millrace-$node" type veth peer name "to-$node" netns millrace-cp
    in_network cp ip link set "to-$node" master bridge up
    in_network "$node" ip link set lo up
    in_network "$node" ip address add "10.200.0.1$(number "$node")/24" dev eth0
    in_network "$node" ip link set eth0 up
    in_network "$node" ip route add default via "$address"
    in_network "$node" sysctl -q -w net.ipv4.ip_forward=1
  done
  for node in cp "${nodes[@]}"; do
    for other in "${nodes[@]}"; do
      [[ $node == "$other" ]] ||
        in_network "$node" ip route add "$pods.$(number "$other").0/24" via "10.200.0.1$(number "$other")"
    done
  done
}

cgroups() { find /sys/fs/cgroup -mindepth 1 -maxdepth 2 -name "millrace-$1" -type d 2>/dev/null; }

make_cgroups() {
  local node hierarchy
  for node in "${nodes[@]}"; do
    for hierarchy in /sys/fs/cgroup/*/; do
      [[ -e $hierarchy/cgroup.procs ]] || continue
      mkdir -p "$hierarchy/millrace-$node"
      if [[ -e $hierarchy/cpuset.cpus ]]; then
        cat "$hierarchy/cpuset.cpus" >"$hierarchy/millrace-$node/cpuset.cpus"
        cat "$hierarchy/cpuset.mems" >"$hierarchy/millrace-$node/cpuset.mems"
      fi
    done
  done
}

start_control_plane() {
  local client=http://127.0.0.1:2379 manager=$dir/system:kube-controller-manager.kubeconfig
  local scheduler=$dir/system:kube-scheduler.kubeconfig
  launch etcd nsenter --net="$(network cp)" "$(program etcd)" --data-dir="$dir/etcd" --unsafe-no-fsync \
    --logger=zap --log-level=warn --listen-client-urls=$client --advertise-client-urls=$client
  wait_for etcd $client/health || die "etcd did not start: $(tail -n 3 "$dir/etcd.log")"
  launch apiserver nsenter --net="$(network cp)" "$(program kube-apiserver)" --etcd-servers=$client \
    --bind-address=0.0.0.0 --advertise-address=$address --secure-port=6443 \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement \
    --service-cluster-ip-range=$services --allow-privileged=true \
    --kubelet-client-certificate="$pki/user-apiserver-kubelet-client.crt" \
    --kubelet-client-key="$pki/user-apiserver-kubelet-client.key" --kubelet-certificate-authority="$pki/ca.crt" \
    --kubelet-preferred-address-types=InternalIP
  wait_for apiserver $server/readyz --cacert "$pki/ca.crt" ||
    die "the API server did not start: $(tail -n 3 "$dir/apiserver.log")"
  launch controllers nsenter --net="$(network cp)" "$(program kube-controller-manager)" --kubeconfig="$manager" \
    --authentication-kubeconfig="$manager" --authorization-kubeconfig="$manager" --bind-address=127.0.0.1 \
    --cert-dir="$dir/controllers" --use-service-account-credentials --leader-elect=false \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" \
    --service-cluster-ip-range=$services
  launch scheduler nsenter --net="$(network cp)" "$(program kube-scheduler)" --kubeconfig="$scheduler" \
    --authentication-kubeconfig="$scheduler" --authorization-kubeconfig="$scheduler" --bind-address=127.0.0.1 \
    --cert-dir="$dir/scheduler" --leader-elect=false
  launch dns nsenter --net="$(network cp)" python3 "$here/dns.py" $address "$kubectl" "$dir/admin.kubeconfig"
}

start_nodes() {
  local node
  gcc -Os -static -o "$dir/pause" "$here/pause.c"
  python3 "$here/oci_image.py" "$dir/pause.tar" localhost/pause:3.10 --entrypoint /pause "$dir/pause=/pause"
  for node in "${nodes[@]}"; do
    launch "node-$node" nsenter --net="$(network "$node")" unshare --mount --propagation private --pid --fork \
      --kill-child --mount-proc "$here/node.sh" "$dir" "$node" "$(number "$node")"
  done
  import_image "$dir/pause.tar"
}

# until_ok WHAT COMMAND...
until_ok() {
  local what=$1 end=$((SECONDS + deadline))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || die "$what after $deadline s; logs are in $dir"
    sleep 0.2
  done
}

import_image() {
  local node
  for node in "${nodes[@]}"; do
    until_ok "containerd of node $node does not answer" ctr --address "$dir/$node/containerd.sock" version
    ctr --address "$dir/$node/containerd.sock" --namespace k8s.io images import "$1" >/dev/null
  done
}

all_nodes_ready() {
  local states
  states=$(kubectl get nodes -o 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}') &&
    [[ $states == "True True True" ]]
}

start() {
  check
  if [[ -s $present ]]; then "$0" stop "$(cat "$present")"; fi # of a run that was killed
  stop
  mkdir -p "$dir"
  echo "$dir" >"$present"
  chmod 755 "$dir"
  sysctl "${sysctls[@]}" >"$dir/sysctls"
  make_pki
  make_networks
  make_cgroups
  start_control_plane
  start_nodes
  until_ok "the nodes are not ready" all_nodes_ready
  until_ok "there is no default service account" kubectl get serviceaccount default
}

cut_node() { in_network cp ip link set "to-$1" down; }
heal_node() { in_network cp ip link set "to-$1" up; }
# As an API server that is down: connections are refused. What pods send is lost without a word, the hardest case for
# them. (A kubelet takes so long to see through that that its node would be taken for dead soon afterwards.)
api_rules() {
  in_network cp iptables "$1" INPUT -s $pods.0.0/16 -p tcp --dport 6443 -j DROP
  in_network cp iptables "$1" INPUT ! -s $pods.0.0/16 -d $address -p tcp --dport 6443 -j REJECT --reject-with tcp-reset
}
cut_api() { api_rules -A; }
heal_api() { api_rules -D; }
admin_rules() { in_network "$2" iptables "$1" FORWARD -i eth0 -p tcp --dport 8001 -j DROP; }

# In the order in which nothing is left without its parent: nodes with all their processes, servers, what they made.
stop() {
  local node name group
  for node in "${nodes[@]}"; do stop_server "node-$node" 1; done
  for name in dns scheduler controllers apiserver etcd; do stop_server "$name" 2; done
  for node in "${nodes[@]}" cp; do
    if [[ -e $(network "$node") ]]; then ip netns delete "millrace-$node"; fi
    for group in $(cgroups "$node"); do find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true; done
  done
  if [[ -s $dir/sysctls ]]; then sysctl -q -p "$dir/sysctls" >/dev/null; fi
  rm -rf "$dir"/{a,b,c,etcd} "$present"
  rmdir /models /run/containerd /var/lib/cni /var/lib/kubelet /var/log/pods /var/log/containers 2>/dev/null ||
    true # mount points that node.sh may have made
}

command=${1:-}
if [[ $command == check ]]; then
  check
  exit
fi
dir=$(realpath -m "${2:?usage: see the head of this file}")
pki=$dir/pki
kubectl=$("$repository/scripts/cluster-tools.sh" --find kubectl || true)
shift 2
case $command in
  start | stop) "$command" ;;
  run) in_network "$@" ;;
  kubectl) kubectl "$@" ;;
  helm) in_network cp env HELM_CACHE_HOME="$dir/helm" KUBECONFIG="$dir/admin.kubeconfig" "$(program helm)" "$@" ;;
  import) import_image "$1" ;;
  cut | heal)
    case $1 in
      api) "${command}_api" ;;
      admin-*) if [[ $command == cut ]]; then admin_rules -I "${1#admin-}"; else admin_rules -D "${1#admin-}"; fi ;;
      *) "${command}_node" "$1" ;;
    esac
    ;;
  *) die "unknown command '$command'; see the head of this file" ;;
esac
