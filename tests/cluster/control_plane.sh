#!/usr/bin/env bash
# A Kubernetes control plane for tests: etcd and kube-apiserver with TLS and RBAC on free loopback ports. No scheduler
# and no nodes: the tests play those. Every write is in DIR/audit.log.
#
#   control_plane.sh start DIR [--owner PID]   start; DIR/admin.kubeconfig is ready to use when this returns. With
#                                              --owner everything stops by itself when process PID is gone
#   control_plane.sh stop DIR                  stop all; DIR stays for reading the logs
#   control_plane.sh stop-api DIR              stop the API server only
#   control_plane.sh start-api DIR             start it again at the same address with the same data
#   control_plane.sh start-controllers DIR     also kube-controller-manager: garbage collection, namespaces, disruption
#                                              budgets, endpoints, autoscalers. Nodes are left alone: played
#                                              ones send no heartbeats
#   control_plane.sh user DIR NAME [GROUP...]  write DIR/NAME.kubeconfig with a client certificate for that user
#   control_plane.sh token-user DIR FILE TOKEN write DIR/FILE.kubeconfig with a bearer token
#
# Programs come from KUBEBUILDER_ASSETS or from what scripts/cluster-tools.sh built. Exit 3: they are absent.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
# shellcheck source=tests/cluster/servers.sh
source "$here/servers.sh"

free_ports() {
  python3 -c '
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in held])' "$1"
}

make_pki() {
  mkdir -p "$pki"
  certificate ca /CN=kubernetes-ca basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign,digitalSignature
  openssl genrsa -out "$pki/sa.key" 2048 2>/dev/null
  openssl rsa -in "$pki/sa.key" -pubout -out "$pki/sa.pub" 2>/dev/null
  local names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:10.96.0.1
  certificate apiserver /CN=kube-apiserver basicConstraints=CA:FALSE extendedKeyUsage=serverAuth "subjectAltName=$names"
}

start_etcd() {
  local client=http://127.0.0.1:$etcd_port peer=http://127.0.0.1:$peer_port
  launch etcd "$etcd" --name=default --data-dir="$dir/etcd" --unsafe-no-fsync --logger=zap --log-level=warn \
    --listen-client-urls="$client" --advertise-client-urls="$client" --listen-peer-urls="$peer" \
    --initial-advertise-peer-urls="$peer" --initial-cluster="default=$peer"
  wait_for etcd "$client/health"
}

# Who wrote what, one JSON document a line, written before the answer is sent.
audit_policy() {
  cat <<EOF
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    verbs: [create, update, patch, delete, deletecollection]
  - level: None
EOF
}

# The ServiceAccount plugin would refuse pods until a controller made the default account of their namespace.
start_api_server() {
  audit_policy >"$dir/audit-policy.yaml"
  launch apiserver "$apiserver" --etcd-servers="http://127.0.0.1:$etcd_port" --bind-address=127.0.0.1 \
    --secure-port="$api_port" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --client-ca-file="$pki/ca.crt" --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement \
    --disable-admission-plugins=ServiceAccount --service-cluster-ip-range=10.96.0.0/16 --allow-privileged=true \
    --endpoint-reconciler-type=none --audit-policy-file="$dir/audit-policy.yaml" --audit-log-path="$dir/audit.log"
  wait_for apiserver "https://127.0.0.1:$api_port/readyz" --cacert "$pki/ca.crt"
}

start_controllers() {
  local manager name=system:kube-controller-manager config=$dir/system:kube-controller-manager.kubeconfig
  manager=$(program kube-controller-manager) || exit $?
  [[ -e $config ]] || make_user "$name"
  launch controllers "$manager" --kubeconfig="$config" --authentication-kubeconfig="$config" \
    --authorization-kubeconfig="$config" --bind-address=127.0.0.1 --secure-port="$controllers_port" \
    --cert-dir="$dir/controllers" --use-service-account-credentials --leader-elect=false \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" \
    --horizontal-pod-autoscaler-sync-period=1s \
    --controllers=garbage-collector-controller,namespace-controller,disruption-controller,endpointslice-controller,horizontal-pod-autoscaler-controller
  wait_for controllers "https://127.0.0.1:$controllers_port/healthz" --insecure
}

save_settings() { declare -p server etcd apiserver etcd_port peer_port api_port controllers_port >"$dir/settings"; }

# Another process may take a port between the choice and the use, hence the attempts.
start() {
  local attempt
  etcd=$(program etcd) || exit $?
  apiserver=$(program kube-apiserver) || exit $?
  program kubectl >/dev/null || exit $?
  mkdir -p "$dir"
  make_pki
  for attempt in 1 2 3; do
    read -r etcd_port peer_port api_port controllers_port <<<"$(free_ports 4)"
    server=https://127.0.0.1:$api_port
    save_settings
    if start_etcd && start_api_server; then
      make_user admin system:masters
      return
    fi
    stop
    rm -rf "$dir/etcd"
    echo "control_plane: attempt $attempt failed" >&2
  done
  tail -n 5 "$dir"/*.log >&2
  die "the control plane did not start; logs are in $dir"
}

stop() {
  stop_server controllers 5
  stop_server apiserver 3 # with open watches it would take a minute to end; the state is in etcd
  stop_server etcd 10
}

command=${1:-}
dir=$(realpath -m "${2:?usage: see the head of this file}")
pki=$dir/pki
shift 2
case $command in
  start)
    start
    if [[ ${1:-} == --owner ]]; then
      setsid "$here/control_plane.sh" watch "$dir" "$2" >/dev/null 2>&1 </dev/null &
    fi
    exit
    ;;
  stop | stop-api | start-api | start-controllers | user | token-user | watch)
    # shellcheck source=/dev/null
    source "$dir/settings" 2>/dev/null || die "$dir holds no control plane"
    ;;
  *) die "unknown command '$command'; see the head of this file" ;;
esac
case $command in
  stop) stop ;;
  stop-api) stop_server apiserver 3 ;;
  start-api) start_api_server || die "the API server did not start: $(tail -n 3 "$dir/apiserver.log")" ;;
  start-controllers) start_controllers || die "the controllers did not start: $(tail -n 3 "$dir/controllers.log")" ;;
  user) make_user "$@" ;;
  token-user) kubeconfig "$1" "      token: $2" ;;
  watch) # the inner half of --owner
    tail --pid="$1" -f /dev/null
    stop
    ;;
esac
